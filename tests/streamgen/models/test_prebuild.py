"""Networks that another process builds into the cache."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import pytest

from engines.cache import EngineCache
from engines.errors import BuildCancelled, BuildError
from streamgen.config import StreamConfig
from streamgen.models.engines import engines_of, load_engines
from streamgen.models.prebuild import prebuild
from streamgen.models.workshop import UNETS

pytest.importorskip("openvino", reason="openvino is not installed: pip install openvino")
CONFIG = StreamConfig(model="tiny", width=64, height=64, backend="openvino", precision="fp32")


def built(tmp_path, config=CONFIG, wanted=(("vae_encoder", 1),), cancel=None):
    events, cache = [], EngineCache(tmp_path)
    prebuild(config, wanted, cache=cache, tell=events.append, cancel=cancel or Event())
    return events, cache


def test_what_is_built_over_there_is_found_here(tmp_path):
    events, cache = built(tmp_path)
    assert [(event.role, event.stage) for event in events] == [
        ("vae_encoder", "building"),
        ("vae_encoder", "verifying"),
        ("vae_encoder", "ready"),
    ]
    [entry] = cache.entries()
    assert entry.role == "vae_encoder" and "verified" in entry.info

    asked = []

    def missing(config, wanted, *, cache, tell, cancel):
        asked.extend(wanted)
        raise BuildError("not here")

    with pytest.raises(BuildError, match="not here"):
        load_engines(CONFIG, cache, prebuild=missing)
    assert asked == [("unet", 1), ("vae_decoder", 1)]


@pytest.mark.slow
def test_networks_with_motion_modules_are_built_over_there(tmp_path, edit_folder, adapter_folder):
    config = replace(CONFIG, model=str(edit_folder), motion=str(adapter_folder), swaps_weights=True)
    _, cache = built(tmp_path, config, [("unet_motion", 1), ("unet_bank_motion", 1)])
    assert len(cache.entries()) == 2
    engines, missing = engines_of(config, cache), []
    engines.prebuild = lambda config, wanted, **further: missing.extend(wanted)
    engines.prebuilt([(role, 1) for role in UNETS])
    assert missing == [("unet", 1), ("unet_bank", 1)]


def test_what_cannot_be_built_is_told_with_its_sentence(tmp_path):
    config = StreamConfig(model="missing", width=64, height=64)
    with pytest.raises(BuildError, match="model 'missing': choose tiny"):
        built(tmp_path, config)


def test_a_build_that_nobody_wants_ends_and_leaves_nothing(tmp_path):
    cancel = Event()
    cancel.set()
    with pytest.raises(BuildCancelled):
        built(tmp_path, cancel=cancel)
    assert EngineCache(tmp_path).entries() == ()
