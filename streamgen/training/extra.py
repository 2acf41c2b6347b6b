"""What training needs beyond the rest of the package: the `train` extra."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from streamgen.errors import ConfigError

MODULES = ("matplotlib", "tokenizers")


def check_extra(modules: Iterable[str] = MODULES) -> None:
    """Raise ConfigError that names what is not installed, and how to install it."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"training needs {' and '.join(missing)}: pip install -e .[train] in the checkout"
        )
