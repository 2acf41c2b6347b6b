from __future__ import annotations

import signal

import pytest

from streamgen.cli.interruption import Interruption

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_before_the_first_frame_a_signal_stops_at_once(number):
    with pytest.raises(KeyboardInterrupt), Interruption():
        signal.raise_signal(number)


@BOTH
def test_later_the_first_signal_asks_and_the_second_stops(number):
    with Interruption() as interruption:
        interruption.be_gentle()
        signal.raise_signal(number)
        assert interruption.is_asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_cleaning_up_after_the_second_signal_is_not_interrupted():
    with Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert not interruption.is_asked


def test_the_handlers_before_come_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    with Interruption():
        pass

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
