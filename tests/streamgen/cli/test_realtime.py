from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).parents[3]
QUICK = ("--backend", "torch", "--size", "64")


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(picture.time) for picture in container.decode(video=0)]


def numbers(line: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", line)]


def test_a_clip_is_drawn_at_its_own_pace_and_every_frame_is_accounted_for(
    streamgen, clip, tmp_path
):
    done = streamgen("run", clip, tmp_path / "out.mp4", *QUICK, "--realtime")

    assert done.code == 0, done.err
    assert done.err == ""
    _, speed, _, dropped, age, *_ = done.out.splitlines()
    seconds = times(tmp_path / "out.mp4")
    late, total, untaken = numbers(dropped)
    assert "fps" in speed and numbers(speed)[0] == len(seconds)
    assert total == 6 and len(seconds) + late + untaken == 6
    assert re.fullmatch(r"age p50 \d+ ms, p95 \d+ ms, from arrival to output", age)
    assert seconds[0] == 0 and seconds == sorted(set(seconds))


def test_a_loop_goes_on_beyond_the_end(streamgen, clip, tmp_path):
    done = streamgen(
        "run", clip, tmp_path / "out.mp4", *QUICK, "--realtime", "--loop", "--limit", "9"
    )

    assert done.code == 0, done.err
    drawn = numbers(done.out.splitlines()[1])[0]
    late, total, untaken = numbers(done.out.splitlines()[3])
    assert total > 6
    assert drawn + untaken == 9 and len(times(tmp_path / "out.mp4")) == drawn


def test_words_and_patterns_have_a_pace_too(streamgen):
    done = streamgen("run", "test:pattern?frames=3", "null:", *QUICK, "--realtime", "--compare")

    assert done.code == 0, done.err
    assert "of 3 frames" in done.out


def test_sound_that_is_left_out_is_said(streamgen, make_clip, tmp_path):
    source = make_clip(sound=True)

    done = streamgen("run", source, tmp_path / "out.mp4", *QUICK, "--realtime", "--limit", "2")

    assert done.code == 0, done.err
    assert "the sound was left out" in done.out


def test_what_was_drawn_before_a_source_breaks_off_is_kept(streamgen, make_clip, tmp_path):
    clip = make_clip(frames=12)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])

    done = streamgen("run", clip, tmp_path / "out.mp4", *QUICK, "--realtime")

    assert done.code == 2
    assert "breaks off after" in done.err and "what was drawn before is complete" in done.err
    assert len(times(tmp_path / "out.mp4")) == numbers(done.out.splitlines()[1])[0] > 0


def test_ctrl_c_finishes_the_file(request, tmp_path):
    out = tmp_path / "out.mp4"
    asked = ["test:pattern", str(out), *QUICK, "--realtime", "-v"]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamgen", "run", *asked],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    request.addfinalizer(process.kill)
    assert process.stderr is not None
    said = []
    while not (line := process.stderr.readline()).startswith("INFO streamgen.cli.run: drawing"):
        assert line, said
        said.append(line)

    process.send_signal(signal.SIGINT)
    told, err = process.communicate()

    assert process.returncode == 130, err
    assert "Traceback" not in err
    if out.exists():  # it may have been stopped before the first picture
        assert f"stopped before the end: {len(times(out))} frames" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("test:pattern", "null:", "--loop"), ["--loop", "add --realtime"]),
        (("camera:", "null:", "--loop"), ["--loop", "'camera:'", "has no end"]),
        (
            ("test:pattern", "null:", "--realtime", "--frame-buffer", "4"),
            ["--frame-buffer 4", "3 frames later"],
        ),
        (("screen:", "null:", "--frame-buffer", "2"), ["--frame-buffer 2", "real time"]),
        (("camera:a camera that nobody has", "null:"), ["camera"]),
        (("test:pattern", "window:"), ["'window:'"]),
    ],
)
def test_what_cannot_be_done_is_one_sentence(streamgen, monkeypatch, arguments, words):
    monkeypatch.delenv("DISPLAY", raising=False)

    done = streamgen("run", *arguments, *QUICK)

    assert done.code == 2
    assert all(word in done.err for word in words), done.err
    assert done.err.splitlines()[-1].startswith("streamgen: ")


def test_what_is_live_says_that_it_implies_real_time(streamgen, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)

    done = streamgen("run", "test:pattern", "window:", *QUICK)

    assert done.err.splitlines()[0] == "window: is live: it runs as with --realtime"
