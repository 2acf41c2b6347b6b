from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamgen.errors import ConfigError
from streamgen.training.photos import load_files


@pytest.mark.parametrize("name", ["empty.jpg", "empty.mp4"])
def test_a_file_without_a_picture_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()

    with pytest.raises(ConfigError, match=f"{re.escape(name)}' .*remove the file"):
        load_files(tmp_path)
