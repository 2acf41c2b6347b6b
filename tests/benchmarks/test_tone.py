from __future__ import annotations

import av
import numpy as np
import pytest

from benchmarks.tone import CODECS, RATE_HZ, add_tone, find_onset, make_tone


def test_a_tone_is_loud_from_its_first_sample_on():
    wave = make_tone(RATE_HZ, onset=1000)

    assert np.flatnonzero(wave)[0] == 1000
    assert wave[1000] == np.float32(0.5)


@pytest.mark.parametrize(("codec", "suffix"), CODECS.items())
def test_a_tone_is_found_where_it_was_put(codec, suffix, clip, tmp_path):
    target = tmp_path / f"toned{suffix}"

    add_tone(clip, target, codec=codec, onset_s=0.1)

    assert find_onset(target) == pytest.approx(0.1, abs=0.005)
    with av.open(str(target)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == codec
        assert sum(1 for _ in container.decode(video=0)) == 6


def test_a_file_without_sound_has_no_onset(clip):
    assert find_onset(clip) is None
