"""Settings that would be unsafe or cannot be, each refused with a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from server.limits import LOOPBACK_RATES
from server.nouns import EngineWish
from server.rules import MotionRules
from server.settings import Settings
from streamgen.child import known_controls
from streamgen.errors import ConfigError, StreamgenError
from streamgen.sources.geometry import Size

TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_this_machine_alone_needs_no_token(host):
    settings = Settings(host=host)

    assert settings.check() is None
    assert settings.rates == LOOPBACK_RATES


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "stage.example"])
def test_what_others_reach_needs_a_token(host):
    with pytest.raises(ConfigError, match="can be reached by others: add --token auto"):
        Settings(host=host).check()

    settings = Settings(host=host, token=TOKEN)
    assert settings.check() is None
    assert settings.rates != LOOPBACK_RATES


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token": "short"}, "--token of 5 characters: give 16 to 256"),
        ({"token": "with spaces in its middle"}, "without spaces"),
        ({"public_names": ("https://x",)}, "--public-name 'https://x'"),
        ({"origins": ("stage.example",)}, "--origin 'stage.example': write https://NAME"),
        ({"public_ip": "stage"}, "--public-ip 'stage': give an IPv4 address"),
        ({"public_ip": "2001:db8::1"}, "give an IPv4 address"),
        ({"udp_ports": (80, 90)}, "--udp-ports 80-90: two ports from 1024"),
        ({"udp_ports": (50000, 50001)}, "4 sessions need 4 ports"),
        ({"size": Size(width=250, height=256)}, "size 250x256"),
        ({"model": "nonsense"}, "model 'nonsense'"),
        ({"motion": MotionRules(adapter="nonsense")}, "motion adapter 'nonsense': choose tiny"),
        ({"motion": MotionRules(adapter="a/b", window=4, sinks=3)}, "motion_sinks 3"),
        ({"loras": (Path("nowhere"),)}, "LoRA place 'nowhere': there is no such folder or file"),
    ],
)
def test_what_cannot_be_is_refused(changes, words):
    with pytest.raises(StreamgenError, match=words):
        replace(Settings(), **changes).check()


def test_pages_choose_from_sizes_that_the_model_takes_and_the_servers_own():
    sizes = Settings(size=Size(width=264, height=200)).sizes

    assert Size(width=264, height=200) in sizes
    assert Size(width=512, height=512) in sizes
    assert Size(width=1024, height=1024) not in sizes
    assert list(sizes) == sorted(sizes, key=lambda size: (size.width * size.height, size.width))


def test_only_where_loras_are_on_offer_are_weights_to_be_exchanged(tmp_path):
    plain, offering = (Settings(loras=loras) for loras in ((), (tmp_path,)))

    for settings, swaps in ((plain, False), (offering, True)):
        settings.check()
        rules = settings.rules()
        assert rules.config(settings.size).swaps_weights is swaps
        other = rules.changed(rules.config(settings.size), EngineWish(backend="torch"))
        assert other.swaps_weights is swaps


def test_a_motion_adapter_belongs_to_what_draws_and_counts_by_default(tmp_path):
    (tmp_path / "swing").mkdir()
    adapter = str(tmp_path / "swing")
    settings = Settings(motion=MotionRules(adapter=adapter, window=8, sinks=2, memory_mb=64))

    settings.check()
    rules = settings.rules()

    config = rules.config(settings.size)
    assert (config.motion, config.motion_window, config.motion_sinks) == (adapter, 8, 2)
    assert config.motion_memory_mb == 64
    assert rules.changed(config, EngineWish(backend="torch")).motion == adapter
    assert rules.motion_name == "swing"
    assert rules.row.controls["motion_strength"] == known_controls(config)["motion_strength"] == 1.0


def test_without_a_motion_adapter_none_is_named():
    rules = Settings(motion=MotionRules(adapter="none")).rules()
    assert rules.motion_name is None and "motion_strength" not in rules.row.controls


def test_sessions_are_run_as_the_server_was_started():
    rules = Settings(max_sessions=7, codec="vp8", debug_barcode=True, public_ip="192.0.2.1").rules()

    assert (rules.seats, rules.codec, rules.barcode, rules.public_ip) == (
        7,
        "vp8",
        True,
        "192.0.2.1",
    )
    assert list(rules.ice_servers()) == []
