"""`--motion` and its companions: what they come to, what is refused before anything is loaded."""

import argparse

import pytest
from diffusers import MotionAdapter

from streamgen.cli.engines_networks import engines_of, networks_of, open_model
from streamgen.cli.motion_options import asked_adapter, asked_model, check_motion
from streamgen.cli.options import add_control_options, add_engine_options, stream_config
from streamgen.errors import ConfigError, ModelError
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.sources import Size
from streamgen.training.motion_layers import MotionLayers


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    add_control_options(parser)
    return parser.parse_args(arguments)


def test_motion_is_asked_for_as_the_options_say():
    args = parsed(
        *("--motion", "animatelcm", "--motion-window", "12", "--motion-sinks", "4"),
        *("--motion-memory", "512"),
    )

    config = stream_config(args, Size(64, 64))

    assert (config.motion, config.motion_window, config.motion_sinks) == ("animatelcm", 12, 4)
    assert config.motion_memory_mb == 512
    assert asked_model(args).controls["motion_strength"] == 1.0
    assert asked_adapter(args).location == "wangfuyun/AnimateLCM"
    check_motion(args)


def test_by_default_the_model_decides():
    args = parsed()

    assert stream_config(args, Size(64, 64)).motion == "auto"
    assert asked_model(args).motion == asked_model(parsed("--motion", "auto")).motion


def test_with_motion_none_nothing_is_said_of_its_strength():
    args = parsed("--motion", "none")

    assert asked_adapter(args) is None
    assert "motion_strength" not in asked_model(args).controls


def test_an_adapter_that_is_not_known_is_refused():
    with pytest.raises(ModelError, match="motion adapter 'animatdiff': choose tiny, anim"):
        check_motion(parsed("--motion", "animatdiff"))


@pytest.mark.parametrize("name", ["window", "sinks", "memory", "strength"])
def test_what_has_no_effect_without_an_adapter_is_refused(name):
    with pytest.raises(ConfigError, match=f"^--motion-{name} 3 has no effect without a motion ada"):
        check_motion(parsed("--motion", "none", f"--motion-{name}", "3"))


@pytest.mark.parametrize("strength", ["0", "0.0", "much"])
def test_no_strength_needs_no_adapter(strength):
    check_motion(parsed("--motion", "none", "--motion-strength", strength))


@pytest.mark.parametrize("arguments", [("--motion-window", "1"), ("--motion-memory", "0")])
def test_numbers_that_mean_nothing_are_refused_at_once(arguments, capsys):
    with pytest.raises(SystemExit):
        parsed(*arguments)
    assert f"argument {arguments[0]}" in capsys.readouterr().err


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """A motion adapter for tiny, as training begins with it."""
    folder = tmp_path_factory.mktemp("motion") / "swing"
    MotionLayers(load_model(find_model("tiny")).unet, seed=0).save(folder)
    return folder


def test_the_network_with_motion_is_among_those_that_are_built_and_verified(adapter):
    args = parsed("--motion", str(adapter), "--backend", "torch", "--device", "cpu")
    args.size = Size(64, 64)

    engines = engines_of(open_model(args), args, backend="torch", precision="fp32")
    networks = networks_of(engines, [1])

    assert [each.title for each in networks] == [
        "vae_encoder x1 fp32",
        "unet x1 fp32",
        "vae_decoder x1 fp32",
        "unet_motion x1 fp32",
    ]
    assert "motion_slot" in [each.name for each in networks[-1].spec.inputs]


def test_a_video_is_drawn_with_an_adapter_and_says_so(streamgen, adapter):
    done = streamgen(
        *("run", "test:pattern?frames=3", "null:", "--size", "64", "--backend", "torch"),
        *("--motion", adapter, "--motion-window", "4", "--motion-sinks", "1"),
    )

    assert done.code == 0
    assert "motion adapter swing: a window of 4 frames, the first 1 of a stream" in done.out


def test_an_adapter_of_another_model_is_refused_before_anything_is_drawn(streamgen, tmp_path):
    MotionAdapter(
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
    ).save_pretrained(tmp_path / "small")

    done = streamgen(
        *("run", "test:pattern?frames=3", "null:", "--size", "64", "--backend", "torch"),
        *("--motion", tmp_path / "small"),
    )

    assert done.code == 2 and "motion adapter 'small'" in done.err
