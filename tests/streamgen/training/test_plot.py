import json

import numpy as np
from PIL import Image

from streamgen.training.plot import save_plot


def write(log, *lines):
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))


def drawn(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_losses_and_db_of_training_and_report_are_drawn(tmp_path):
    log = tmp_path / "log.jsonl"
    write(log, {"step": 50, "loss": 0.5, "psnr": 20.0}, {"step": 100, "loss": 0.3, "psnr": 22.0})
    save_plot(log, tmp_path / "training.png")
    write(log, {"step": 60, "mean_db": 20.0, "comic": 18.0}, {"step": 90, "mean_db": 21.0})
    save_plot(log, tmp_path / "report.png")
    training, report = drawn(tmp_path / "training.png"), drawn(tmp_path / "report.png")
    assert training.std() > 5 and report.std() > 5
    assert not np.array_equal(training, report)


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    log = tmp_path / "log.jsonl"
    write(log, {"step": 50, "loss": 0.5}, {"step": 100, "loss": 0.4})
    save_plot(log, tmp_path / "whole.png")
    log.write_text(log.read_text() + '{"step": 150, "lo')
    save_plot(log, tmp_path / "cut.png")
    assert np.array_equal(drawn(tmp_path / "cut.png"), drawn(tmp_path / "whole.png"))
