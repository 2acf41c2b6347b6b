"""A site whose sessions, which are only written down, have streams, guests and recordings, too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.nouns import Attached, StreamFacts, StreamRow, UnknownSession, UnknownStream
from server.recorder_writer import RecordingFacts

STREAM = StreamFacts(model="tiny", width=256, height=256)
#: As OBS has it: no candidates, audio first, everything about ICE above the sections.
PUBLISHER = "\r\n".join(
    [
        "v=0",
        "o=rtc 3767197920 0 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "a=setup:actpass",
        "a=ice-ufrag:Ab3d",
        "a=ice-pwd:abcdefghijklmnopqrstuv",
        "a=fingerprint:sha-256 AA:BB",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:111 OPUS/48000/2",
        "a=msid:obs obs-audio",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=mid:1",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:96 H264/90000",
        "a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1",
        "a=msid:obs obs-video",
        "",
    ]
)
FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"
FRAGMENT = "\r\n".join(
    [
        "a=ice-ufrag:Ab3d",
        "a=ice-pwd:abcdefghijklmnopqrstuv",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=mid:0",
        "a=candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host",
        "a=end-of-candidates",
        "",
    ]
)


@pytest.fixture
def sessions_class(sessions_class):
    """Return the sessions of the folder above, with streams."""

    class Streaming(sessions_class):
        def __init__(self, seats):
            super().__init__(seats)
            self.guests, self.fragments = [], []
            self.recordings: dict[str, RecordingFacts] = {}

        async def publish(self, offer, wish):
            return await self.open(offer, wish)

        async def unpublish(self, name, id):
            if self._named(name).peer != id:
                raise UnknownSession("nobody of this id publishes")
            await self.close(id, "ended by its publisher")

        async def attach(self, name, offer, *, may_control):
            if self.error is not None:
                raise self.error
            self.guests.append((self._named(name).name, offer, may_control))
            return Attached(
                id=f"guest-{len(self.guests)}",
                sdp="v=0 answer",
                name=self._named(name).name,
                controls={"strength": 0.5},
                revision=1,
                output="live",
                stream=STREAM,
                may_control=may_control,
            )

        async def detach(self, name, id):
            number = int(id.removeprefix("guest-")) if id.startswith("guest-") else 0
            if not 1 <= number <= len(self.guests):
                raise UnknownSession("nobody of this id watches")
            self.closed.append((self._named(name).name, id))

        async def trickle(self, name, id, fragment):
            self.fragments.append((name, id, fragment))
            if self.error is not None:
                raise self.error

        async def patch_stream(self, name, patch):
            return await self.patch(self._named(name).id, patch)

        async def stream_status(self, name):
            return await self.status(self._named(name).id)

        def streams(self):
            return [
                StreamRow(name=each.name, state="running", viewers=1, is_recording=False, says="")
                for each in self.here.values()
            ]

        async def record(self, name):
            name = self._named(name).name
            if self.error is not None:
                raise self.error
            self.recordings[name] = RecordingFacts(name=name, state="recording", file=f"{name}.mp4")
            return self.recordings[name]

        async def end_recording(self, name):
            return replace(self.recordings.pop(self._named(name).name), state="ended")

        def recording(self, name):
            return self.recordings.get(self._named(name).name)

        def _named(self, name):
            for each in self.here.values():
                if each.name == name.lower():
                    return each
            raise UnknownStream(f"no stream is called {name!r}")

    return Streaming


@pytest.fixture
def publisher_sdp():
    return PUBLISHER


@pytest.fixture
def player_sdp():
    return PUBLISHER.replace("a=sendonly", "a=recvonly")


@pytest.fixture
def fragment():
    return FRAGMENT


@pytest.fixture
def publish(serve, publisher_sdp):
    """Publish stream `cam` and then do more: publish(work) with the served site and the answer."""

    def run(work, **settings):
        async def whole(served):
            return await work(served, await served.signal("/whip/cam", publisher_sdp))

        return serve(whole, **settings)

    return run


@pytest.fixture
def trickle(publish):
    """Send a fragment to a session just begun: trickle(text, If_Match=…, Content_Type=…)."""

    def once(text=FRAGMENT, **more):
        async def work(served, begun):
            headers = {"Content-Type": FRAGMENT_TYPE, "If-Match": begun.headers["etag"]}
            headers |= {name.replace("_", "-"): value for name, value in more.items()}
            headers = {name: value for name, value in headers.items() if value is not None}
            address = begun.headers["location"]
            answer = await served.client.patch(address, content=text, headers=headers)
            return answer, served.sessions

        return publish(work)

    return once
