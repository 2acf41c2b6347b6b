"""Whatever cannot be used: one sentence, exit code 2, nothing written and nothing overwritten."""

from __future__ import annotations

import json
import resource

import pytest

QUICK = ("--backend", "torch", "--size", "64")


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture
def refused(streamgen, tmp_path):
    """Run a command that must be refused; return its sentence."""

    def run(*arguments):
        before = contents(tmp_path)
        done = streamgen(*arguments)
        assert done.code == 2, done.err
        assert done.out == ""
        assert done.err.startswith("streamgen: ") and done.err.count("\n") == 1
        assert "Traceback" not in done.err
        assert contents(tmp_path) == before
        return done.err

    return run


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "out.mp4"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["no command", "choose run, "]),
        (("rnu",), ["'rnu'", "choose run, ", "did you mean run?"]),
        (("--vresion",), ["'--vresion'", "did you mean --version?"]),
        (("run", "a.mp4"), ["OUT", "streamgen run --help"]),
        (("run", "a.mp4", "b.mp4", "c.mp4"), ["'c.mp4' is one too many"]),
        (("run", "a.mp4", "b.mp4", "--prompt"), ["--prompt", "expected one argument"]),
        (("run", "--strenght", "1", "a", "b"), ["'--strenght'", "did you mean --strength?"]),
        (("run", "a", "b", "--strenght=1"), ["'--strenght'", "did you mean --strength?"]),
        (("models", "--jsn"), ["'--jsn'", "did you mean --json?"]),
    ],
)
def test_arguments_that_cannot_be_read(refused, arguments, words):
    sentence = refused(*arguments)

    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "tinny"], ["'tinny'", "tiny, sd-turbo"]),
        (["--backend", "tensorflow"], ["'tensorflow'", "auto, openvino, tensorrt, inductor, onnx"]),
        (["--backend", "torch", "--device", "cuda:99"], ["torch", "cuda:99", "--device cpu"]),
        (["--backend", "openvino", "--device", "gpu"], ["openvino", "gpu"]),
        (["--device", "toaster"], ["toaster", "--device cpu"]),
        (["--precision", "int3"], ["'int3'", "auto, fp32, bf16, fp16"]),
        (["--precision", "fp16"], ["'fp16'", "torch on cpu can do fp32, bf16"]),
        (["--size", "250"], ["250x250", "from 64 to 1024 in steps of 8"]),
        (["--size", "8"], ["8x8", "from 64 to 1024"]),
        (["--size", "4096x2048"], ["4096x2048", "from 64 to 1024"]),
        (["--size", "big"], ["'big'", "256 or 448x256"]),
        (["--size", "0x64"], ["0x64", "at least 1"]),
        (["--fit", "squash"], ["'squash'", "crop, letterbox, stretch"]),
        (["--strength", "nan"], ["strength 'nan'", "a number from 0 to 1"]),
        (["--strength", "inf"], ["strength 'inf'", "from 0 to 1"]),
        (["--strength", "1.5"], ["strength '1.5'", "from 0 to 1"]),
        (["--steps", "2.5"], ["steps '2.5'", "a whole number from 1 to 8"]),
        (["--steps", "0"], ["steps '0'", "from 1 to 8"]),
        (["--seed", "-1"], ["seed '-1'", "from 0"]),
        (["--guidance", "ful"], ["guidance 'ful'", "none, full, self, initialize"]),
        (["--guidance-scale", "NaN"], ["guidance_scale 'NaN'", "from 0 to 20"]),
        (["--noise", "pink"], ["noise 'pink'", "fixed, fresh"]),
        (["--t-index-list", "1,x"], ["t_index_list 'x'", "from 0 to 49"]),
        (["--t-index-list", "30,10"], ["t_index_list [30, 10]", "rising"]),
        (["--t-index-list", "10", "--steps", "1"], ["t_index_list", "not both"]),
        (["--prompt", "cat::heavy"], ["'cat::heavy'", "weight from 0 to 10"]),
        (["--prompt", "cat::nan"], ["'cat::nan'", "weight from 0 to 10"]),
        (["--prompt", "cat::0"], ["prompts", "weight above 0"]),
        (["--negative-prompt", "blurry"], ["--negative-prompt", "add --guidance-scale 1.5"]),
        (["--steps", "8", "--strength", "0.1"], ["--steps 8", "give 1 to 5"]),
        (["--limit", "0"], ["--limit", "'0'", "from 1 to"]),
        (["--threads", "many"], ["--threads", "'many'", "from 1 to"]),
        (["--crf", "52"], ["--crf", "'52'", "from 0 to 51"]),
    ],
)
def test_options_that_cannot_be_used(refused, clip, out, options, words):
    sentence = refused("run", clip, out, *QUICK, *options)

    assert all(word in sentence for word in words), sentence


def test_a_quality_for_pictures_that_have_none(refused, clip, out):
    sentence = refused("run", clip, f"{out.parent}/", *QUICK, "--crf", "10")

    assert "--crf 10 has no effect" in sentence


def test_a_missing_input(refused, tmp_path, out):
    assert "absent.mp4': no such file" in refused("run", tmp_path / "absent.mp4", out, *QUICK)


@pytest.mark.parametrize(
    ("content", "word"), [(b"", "is empty"), (b"no video at all" * 99, "cannot be read")]
)
def test_a_file_that_is_no_video(refused, tmp_path, out, content, word):
    (tmp_path / "broken.mp4").write_bytes(content)

    sentence = refused("run", tmp_path / "broken.mp4", out, *QUICK)

    assert "broken.mp4'" in sentence and word in sentence


def test_a_file_that_holds_only_sound(refused, sound_only, out):
    assert "holds only sound" in refused("run", sound_only, out, *QUICK)


def test_a_folder_without_pictures(refused, tmp_path, out):
    (tmp_path / "empty").mkdir()

    assert "holds no images" in refused("run", tmp_path / "empty", out, *QUICK)


def test_a_truncated_file_says_where_it_breaks_and_leaves_the_old_output(
    refused, streamgen, make_clip, out
):
    clip = make_clip(frames=12)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    out.write_text("old")

    sentence = refused("run", clip, out, *QUICK, "--overwrite")

    assert "breaks off after" in sentence and "nothing was written: --limit " in sentence
    assert out.read_text() == "old"
    limit = sentence.partition("--limit ")[2].split()[0]
    assert streamgen("run", clip, out, *QUICK, "--overwrite", "--limit", limit).code == 0


def test_an_output_in_a_folder_that_is_not_there(refused, clip, tmp_path):
    sentence = refused("run", clip, tmp_path / "absent" / "out.mp4", *QUICK)

    assert "absent' does not exist" in sentence


@pytest.mark.parametrize("options", [(), ("--overwrite",)])
def test_an_output_that_is_the_input(refused, clip, options):
    assert "is the input" in refused("run", clip, clip, *QUICK, *options)


def test_an_output_that_exists(refused, clip, out):
    out.write_text("old")

    assert "add --overwrite" in refused("run", clip, out, *QUICK)
    assert out.read_text() == "old"


def test_an_output_of_a_kind_that_is_not_known(refused, clip, out):
    sentence = refused("run", clip, out.with_suffix(".avi"), *QUICK)

    assert "out.avi'" in sentence and ".mp4" in sentence


@pytest.fixture
def small_disk():
    """Files of this process cannot grow beyond 20 kB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full(make_clip, out, request, refused):
    noise = make_clip(frames=8)
    out.write_text("old")
    request.getfixturevalue("small_disk")

    sentence = refused("run", noise, out, *QUICK, "--overwrite", "--compare", "--crf", "0")

    assert "out.mp4' cannot be written" in sentence
    assert out.read_text() == "old"


def test_a_model_folder_without_a_model(refused, clip, out, tmp_path):
    (tmp_path / "folder").mkdir()

    sentence = refused("run", clip, out, *QUICK, "--model", tmp_path / "folder")

    assert "no model_index.json" in sentence and "diffusers layout" in sentence


@pytest.mark.parametrize("command", ["run", "models"])
def test_a_model_of_a_class_that_is_not_supported(refused, clip, out, tmp_path, command):
    folder = tmp_path / "large"
    folder.mkdir()
    index = {"_class_name": "StableDiffusion3Pipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    asked = {"run": [clip, out, *QUICK, "--model", folder], "models": [folder]}

    sentence = refused(command, *asked[command])

    assert "'large' is a StableDiffusion3Pipeline" in sentence
    assert "supported are StableDiffusionPipeline" in sentence


def test_a_limit_beyond_what_can_be_counted_is_refused(streamgen, clip):
    done = streamgen("run", clip, "null:", "--limit", "9999999999999999999")

    assert done.code == 2 and "give a whole number from 1 to" in done.err


@pytest.mark.parametrize("name", ["x" * 300 + ".mp4", "x" * 300 + "/", "x" * 300])
def test_names_that_are_too_long_are_refused_in_a_sentence(streamgen, clip, tmp_path, name):
    read = streamgen("run", f"{tmp_path}/{name}", "null:")
    written = streamgen("run", clip, f"{tmp_path}/{name}")

    assert (read.code, written.code) == (2, 2)
    assert "cannot be reached: File name too long" in read.err
    assert "File name too long" in written.err


def test_links_in_a_circle_are_refused_in_a_sentence(streamgen, clip, tmp_path):
    (tmp_path / "round.mp4").symlink_to("round.mp4")
    (tmp_path / "round").symlink_to("round")

    codes = [
        streamgen("run", given, taken).code
        for given, taken in [
            (tmp_path / "round.mp4", "null:"),
            (clip, tmp_path / "round.mp4"),
            (clip, f"{tmp_path}/round/"),
        ]
    ]

    assert codes == [2, 2, 2]
