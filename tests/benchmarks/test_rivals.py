from __future__ import annotations

import pytest
from PIL import Image

from benchmarks.clip import read_clip
from benchmarks.frame_path import FramePath, Plan, measure
from benchmarks.rivals import Match, Rival, why_no_ratio
from streamgen.controls import Controls
from streamgen.sources import Size

PLAN = Plan(frames=2, runs=3, warmup=1)
IDLE = {"others_share_before": 0.0, "others_share_during": 0.02, "busy": False}
BUSY = {"others_share_before": 0.0, "others_share_during": 0.4, "busy": True}


@pytest.fixture
def match(clip, millisecond_clock):
    def make(rival: Rival, plan: Plan = PLAN) -> Match:
        read = read_clip(clip, limit=4)
        return Match(rival, clip=read, size=Size(64, 64), plan=plan, now_ns=millisecond_clock)

    return make


def same(picture: Image.Image) -> Image.Image:
    return picture


def test_a_rival_gets_the_frames_of_the_clip_as_pictures_of_the_models_size(match):
    seen = []
    rival = Rival(name="other", plain=lambda picture: seen.append(picture) or picture)

    match(rival).take_turn()

    assert [(picture.size, picture.mode) for picture in seen] == [((64, 64), "RGB")] * 2
    assert seen[0].tobytes() != seen[1].tobytes()


def test_a_turn_has_thirty_frames_at_most(match):
    drawn = []
    rival = Rival(name="other", plain=lambda picture: drawn.append(1) or picture)

    several = match(rival, Plan(frames=300, runs=1, warmup=30))
    several.warm_up()
    several.take_turn()

    assert len(drawn) == 3 + 30
    assert several.facts(10.0, None)["frames_per_turn"] == 30


def test_a_ratio_is_ours_over_the_median_of_theirs(match):
    paired = match(Rival(name="other", plain=same, best=same, facts={"form": "slow"}))
    paired.plain_fps += [2.0, 5.0, 4.0]
    paired.best_fps += [8.0]

    facts = paired.facts(20.0, None)

    assert (facts["fps"], facts["ratio"], facts["runs"]) == (4.0, 5.0, [2.0, 5.0, 4.0])
    assert (facts["best_fps"], facts["best_ratio"]) == (8.0, 2.5)
    assert (facts["reason"], facts["form"], facts["turns"]) == (None, "slow", 3)


def test_a_rival_of_one_form_has_no_best_figures(match):
    paired = match(Rival(name="other", plain=same))
    paired.take_turn()

    assert not [name for name in paired.facts(20.0, None) if name.startswith("best")]


def test_a_busy_machine_has_speeds_but_no_ratio(match):
    paired = match(Rival(name="other", plain=same, best=same))
    paired.take_turn()

    facts = paired.facts(20.0, why_no_ratio(BUSY))

    assert (facts["ratio"], facts["best_ratio"]) == (None, None)
    assert facts["fps"] > 0 and facts["best_fps"] > 0
    assert "machine was busy" in facts["reason"] and "40 %" in facts["reason"]


def test_an_idle_machine_may_be_compared_on():
    assert why_no_ratio(IDLE) is None


def test_turns_alternate_with_ours(engines, clip, match):
    order = []
    rival = Rival(name="other", plain=lambda picture: order.append("theirs") or picture)
    theirs = match(rival, Plan(frames=1, runs=2, warmup=1))
    ours = FramePath(
        engines, Controls(), clip=read_clip(clip, limit=2), meter=Counted(order, "ours")
    )

    measure({"stream": ours}, Plan(frames=1, runs=2, warmup=1), after_turn=theirs.take_turn)

    assert order == ["ours", "theirs", "ours", "theirs"]


class Counted:
    """A meter that notes when it starts."""

    source = "a test"

    def __init__(self, order, name):
        self.order, self.name = order, name

    def start(self):
        self.order.append(self.name)

    def stop(self):
        return 1.0
