from __future__ import annotations

import io

from rich.console import Console

from streamgen.cli.progress import frame_progress


def shown(total, *, is_terminal):
    file = io.StringIO()
    console = Console(file=file, force_terminal=is_terminal, width=100)
    with frame_progress("out.mp4", total, console=console) as show:
        for count in (1, 2, 3):
            show(count)
    return file.getvalue()


def test_a_known_number_of_frames_has_a_bar_and_the_time_left():
    text = shown(3, is_terminal=True)

    assert "out.mp4" in text and "3/3" in text and "left" in text


def test_an_unknown_number_of_frames_is_counted():
    text = shown(None, is_terminal=True)

    assert "3/?" in text and "left" not in text


def test_a_file_gets_no_bar():
    assert shown(3, is_terminal=False) == ""
