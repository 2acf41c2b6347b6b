"""The thread that decodes one received video: whole frames in, pictures out, never far behind."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading

import av
from aiortc.codecs import get_decoder
from aiortc.codecs.base import Decoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.frame import Frame

from server.aiortc_tuning.jitter import MarkedFrame

logger = logging.getLogger(__name__)

# Half a second of video; what is older is worth less than what a key frame costs.
MAX_WAITING = 15

Task = tuple[RTCRtpCodecParameters, JitterFrame]


def decode_newest(
    loop: asyncio.AbstractEventLoop,
    input_q: queue.Queue[Task | None],
    output_q: asyncio.Queue[Frame | None],
    decode_error: threading.Event,
) -> None:
    """Replace aiortc's decoder_worker, whose input grows without end when decoding is too slow.

    decode_error: set where the sender is to be asked for a key frame.
    """
    codec_name: str | None = None
    decoder: Decoder | None = None
    while (task := input_q.get()) is not None:
        if input_q.qsize() > MAX_WAITING:
            logger.info("decoding is %d frames late: they are skipped", input_q.qsize())
            codec_name = None  # a new decoder, which waits for a key frame
            decode_error.set()
            if not _skip(input_q):
                break
            continue
        codec, whole = task
        if decoder is None or codec.name != codec_name:
            decoder, codec_name = get_decoder(codec), codec.name
        for encoded in whole.all() if isinstance(whole, MarkedFrame) else [whole]:
            for picture in _decode(decoder, encoded, decode_error):
                _hand_over(loop, output_q, picture)
    _hand_over(loop, output_q, None)


def _decode(decoder: Decoder, encoded: JitterFrame, decode_error: threading.Event) -> list[Frame]:
    try:
        return decoder.decode(encoded)
    except av.FFmpegError as error:
        # Packets get lost; the next key frame mends it.
        logger.debug("a frame could not be decoded: %s", error)
        decode_error.set()
        return []


def _skip(input_q: queue.Queue[Task | None]) -> bool:
    """Drop what waits; return False where the end of the video was among it."""
    try:
        while True:
            if input_q.get_nowait() is None:
                return False
    except queue.Empty:
        return True


def _hand_over(
    loop: asyncio.AbstractEventLoop, output_q: asyncio.Queue[Frame | None], picture: Frame | None
) -> None:
    try:
        loop.call_soon_threadsafe(output_q.put_nowait, picture)
    except RuntimeError:
        logger.debug("a picture came after the end of the event loop")
