"""The protocol of the data channels, without any."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.mailbox import MOST, Mailbox
from server.messages import (
    BadMessage,
    ByeMessage,
    PatchMessage,
    PingMessage,
    Reader,
    TooManyBad,
    read,
)

PING = '{"type":"ping","t":1}'
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def patch(sequence=None, **changes):
    return PatchMessage(type="patch", changes=changes, sequence=sequence)


def test_each_kind_of_message_is_understood():
    changes = {"strength": 0.5, "prompts": [{"text": "ink", "weight": 1}], "seeds": None}
    said = {"type": "patch", "id": 4, "changes": changes, "over_s": 2, "sequence": 9}
    message = read("control", json.dumps(said))
    assert (message.id, message.changes, message.over_s, message.sequence) == (4, changes, 2.0, 9)
    assert read("control", PING) == PingMessage(type="ping", t=1.0)
    assert read("control", '{"type":"output","mode":"freeze"}').mode == "freeze"
    assert read("control", '{"type":"size","id":1,"width":8,"height":9}').height == 9
    assert isinstance(read("control", '{"type":"bye"}'), ByeMessage)


@pytest.mark.parametrize(
    ("text", "sentence", "number"),
    [
        ('{"type":"output","id":3,"mode":"upside-down"}', "mode: input should be 'live'", 3),
        ('{"type":"size","id":3,"width":1e3,"height":8}', "width: input should be a valid", 3),
        ('{"type":"patch","id":3,"changes":{},"over_s":61}', "over_s: input should be less", 3),
        ('{"type":"patch","id":3,"changes":[]}', "changes: input should be a valid dict", 3),
        ('{"type":"patch","id":-1,"changes":{}}', "id: input should be greater", 0),
        ('{"type":"patch","changes":{"a":[[[[[[[[[1]]]]]]]]]}}', "nested deeper than 8", 0),
        ('{"type":"ping","t":Infinity}', "Infinity is not a number", 0),
        ('{"type":"ping"}', "t: field required", 0),
        ("null", "message: input should be", 0),
        ('"' + "é" * 9000 + '"', "too large", 0),
    ],
)
def test_what_is_wrong_is_named(text, sentence, number):
    with pytest.raises(BadMessage, match=sentence.replace("[", r"\[")) as error:
        read("control", text)
    assert error.value.id == number


@settings(max_examples=40, deadline=None)
@given(
    JSON
    | st.fixed_dictionaries({"type": st.sampled_from(["patch", "size", "ping"]), "changes": JSON})
)
def test_whatever_is_sent_is_a_message_or_a_bad_message(said):
    for text in (json.dumps(said), str(said)):
        try:
            read("control", text)
        except BadMessage as error:
            assert 0 < len(str(error)) <= 300
            json.dumps(str(error)).encode()


def test_so_many_messages_may_come_and_so_many_may_be_wrong():
    now = 0.0
    reader = Reader(lambda: now)
    for _ in range(120):
        reader.read("control", PING)
    for _ in range(10):
        with pytest.raises(BadMessage, match="60 a second"):
            reader.read("control", PING)
    with pytest.raises(TooManyBad):
        reader.read("control", PING)
    now = 1.0
    for _ in range(60):
        reader.read("control", PING)
    now = 13.0
    with pytest.raises(BadMessage):
        reader.read("control", "x")


def test_messages_keep_their_order_and_sliders_wait_as_one():
    async def play():
        box = Mailbox()
        assert box.put("live", patch(1, strength=0.1))
        assert box.put("control", patch(1, steps=2))
        assert box.put("live", patch(3, strength=0.3))
        assert box.put("live", patch(2, strength=0.2, delta=1.5))
        assert box.put("control", patch(2, steps=3))
        letters = [await box.get() for _ in range(3)]
        assert [letter.message.changes for letter in letters] == [
            {"steps": 2},
            {"steps": 3},
            {"strength": 0.3, "delta": 1.5},
        ]
        assert letters[2].message.sequence == 3 and letters[2].label == "live"
        waiting = asyncio.create_task(box.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        box.put("live", patch(4, strength=0.4))
        assert (await waiting).message.sequence == 4

    asyncio.run(play())


def test_only_so_many_messages_may_wait():
    box = Mailbox()
    assert all(box.put("control", patch(n)) for n in range(MOST))
    assert not box.put("control", patch(MOST))
