"""Law 10, "A skip is not a pass", and a browser or a small model for those who need one.

Where STREAMGEN_REQUIRE or CI is set, a skipped test fails the run, unless a line of
allowed_skips.txt beside this file allows it. STREAMGEN_REQUIRE names, separated by commas,
what must be there; what is not there ends the run before its first test.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any  # playwright is not everywhere

import pytest

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
TINY = Path(__file__).parents[1] / "streamgen" / "models" / "tiny"


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def has_chromium() -> bool:
    """Whether a browser for the tests of the page is here; Playwright's own is not looked for."""
    return any(shutil.which(name) for name in CHROMIUMS)


CAPABILITIES: dict[str, Callable[[], bool]] = {
    "chromium": has_chromium,
    "ffprobe": lambda: shutil.which("ffprobe") is not None,
    "gpu": has_cuda,
    "openvino": lambda: importlib.util.find_spec("openvino") is not None,
    "tiny": lambda: any(TINY.rglob("*.safetensors")),
}


def pytest_configure(config: pytest.Config) -> None:
    required = [name.strip() for name in os.environ.get("STREAMGEN_REQUIRE", "").split(",")]
    required = [name for name in required if name]
    for name in required:
        if name not in CAPABILITIES:
            allowed = ", ".join(CAPABILITIES)
            raise pytest.UsageError(f"STREAMGEN_REQUIRE names {name!r}: choose from {allowed}")
        if not CAPABILITIES[name]():
            raise pytest.UsageError(f"STREAMGEN_REQUIRE names {name!r}, which is not here")
    if required or os.environ.get("CI", "").lower() in ("1", "true"):
        config.pluginmanager.register(SkipLaw(read_allowed_skips(ALLOWED_SKIPS)))


def read_allowed_skips(path: Path) -> list[re.Pattern[str]]:
    """Read the node-id patterns of the list, in which only `*` has a meaning: anything."""
    patterns = []
    for line in path.read_text(encoding="utf-8").splitlines():
        pattern, _, reason = (part.strip() for part in line.partition("#"))
        if not pattern:
            continue
        if not reason:
            raise pytest.UsageError(f"{path.name}: {pattern!r} needs a reason after a '#'")
        patterns.append(re.compile(re.escape(pattern).replace(r"\*", ".*")))
    return patterns


class SkipLaw:
    """Collects the skips of one session that the list does not allow, and fails the session."""

    def __init__(self, allowed: list[re.Pattern[str]]) -> None:
        self.allowed = allowed
        self.unlawful: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # An expected failure reports itself as skipped; xfail_strict watches over those.
        if report.skipped and "wasxfail" not in vars(report):
            self.note(report.nodeid, report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.note(report.nodeid, report.longrepr)

    def note(self, nodeid: str, longrepr: object) -> None:
        if not any(pattern.fullmatch(nodeid) for pattern in self.allowed):
            reason = longrepr[2] if isinstance(longrepr, tuple) else longrepr
            self.unlawful.append(f"{nodeid}: {reason}")

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        yield
        if self.unlawful and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unlawful:
            terminalreporter.section("a skip is not a pass", red=True)
            for line in self.unlawful:
                terminalreporter.line(line)
            terminalreporter.line(f"Allow a skip, with its reason, in {ALLOWED_SKIPS.name}.")


@pytest.fixture(scope="session")
def save_small_model() -> Callable[..., Path]:
    """Return what writes a Stable-Diffusion-type model with a few thousand random weights.

    unet: settings of its own; further parts of the pipeline by name, in place of an
    AutoencoderTiny and Euler's scheduler.
    """
    import torch
    from diffusers import (
        AutoencoderTiny,
        EulerDiscreteScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    from streamgen.training.tokenizer import build_tokenizer

    def save(folder: Path, *, unet: Mapping[str, object] | None = None, **parts: object) -> Path:
        torch.manual_seed(0)
        tokenizer = build_tokenizer(["oil", "ink"], folder.with_name(f"{folder.name}-tokenizer"))
        text = CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=12,
            intermediate_size=24,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        settings: dict[str, Any] = {
            "block_out_channels": (8, 16),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "layers_per_block": 1,
            "attention_head_dim": 2,
            "cross_attention_dim": 12,
            "norm_num_groups": 4,
            **(unet or {}),
        }
        width = (8,) * 4
        usual = {
            "unet": UNet2DConditionModel(**settings),
            "vae": AutoencoderTiny(
                encoder_block_out_channels=width, decoder_block_out_channels=width
            ),
            "scheduler": EulerDiscreteScheduler(timestep_spacing="trailing", steps_offset=1),
        }
        pipeline = StableDiffusionPipeline(
            text_encoder=CLIPTextModel(text),
            tokenizer=tokenizer,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            **{**usual, **parts},
        )
        pipeline.save_pretrained(folder, safe_serialization=True)
        return folder

    return save


@pytest.fixture(scope="session")
def camera_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sample clip as the motion JPEG that Chromium plays as its camera."""
    import av

    from benchmarks.clip import SAMPLE

    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    with av.open(str(SAMPLE)) as source, path.open("wb") as film:
        for frame in source.decode(video=0):
            frame.to_image().resize((640, 480)).save(film, "JPEG", quality=85)
    return path


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Any]]:
    """Return what starts a browser with further arguments."""
    # Of a module, not of the session: its event loop would be in the way of other tests' own.
    from benchmarks.webrtc.browser import find_chromium, launched
    from streamgen.errors import ConfigError

    try:
        find_chromium()
    except ConfigError as error:
        pytest.skip(str(error))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver, ExitStack() as stack:

        def start(*arguments: str) -> Any:
            browser = launched(driver, *arguments)
            stack.callback(browser.close)
            return browser

        yield start


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Any], camera_film: Path) -> Any:
    """Return a browser with a camera that plays the sample clip, and a user who allows it."""
    return launch(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_film}",
    )
