"""The law of tests/conftest.py, tried in small sessions of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = (Path(__file__).parent / "conftest.py").read_text(encoding="utf-8")
ONE_SKIP = """
import pytest

@pytest.mark.skip(reason="no camera here")
def test_camera():
    pass

def test_arithmetic():
    assert 1 + 1 == 2
"""


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with our conftest, an empty list of allowed skips, and nothing required."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("STREAMGEN_REQUIRE", raising=False)
    pytester.makeconftest(CONFTEST)
    allow(pytester, "")
    return pytester


def allow(session: pytest.Pytester, line: str) -> None:
    (session.path / "allowed_skips.txt").write_text(line, encoding="utf-8")


def run(session: pytest.Pytester) -> pytest.RunResult:
    return session.runpytest("-p", "no:cacheprovider")


def test_a_skip_passes_where_nothing_is_required(session: pytest.Pytester) -> None:
    session.makepyfile(test_devices=ONE_SKIP)

    result = run(session)

    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1, skipped=1)


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("STREAMGEN_REQUIRE", "openvino")])
def test_a_skip_fails_the_run_and_is_named(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    session.makepyfile(test_devices=ONE_SKIP)

    result = run(session)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*a skip is not a pass*", "test_devices.py::test_camera:*no camera*"]
    )


def test_a_skipped_module_fails_the_run(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    session.makepyfile(test_ndi="import pytest\npytest.importorskip('no_such_library')")

    result = run(session)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["test_ndi.py:*no_such_library*"])


@pytest.mark.parametrize("pattern", ["test_devices.py::test_camera", "test_dev*"])
def test_an_allowed_skip_passes(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.setenv("CI", "true")
    session.makepyfile(test_devices=ONE_SKIP)
    allow(session, f"{pattern}  # no camera in CI")

    assert run(session).ret == pytest.ExitCode.OK


def test_an_allowed_skip_does_not_cover_its_neighbours(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    session.makepyfile(test_devices=ONE_SKIP)
    allow(session, "test_devices.py::test_cam  # no camera in CI")

    assert run(session).ret == pytest.ExitCode.TESTS_FAILED


def test_an_expected_failure_is_not_a_skip(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    session.makepyfile("import pytest\n@pytest.mark.xfail\ndef test_known(): assert False")

    result = run(session)

    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(xfailed=1)


def test_a_failure_stays_a_failure(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    session.makepyfile("def test_wrong(): assert 1 + 1 == 3")

    assert run(session).ret == pytest.ExitCode.TESTS_FAILED


def test_an_allowed_skip_needs_a_reason(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    session.makepyfile(test_devices=ONE_SKIP)
    allow(session, "test_devices.py::test_camera")

    result = run(session)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*'test_devices.py::test_camera' needs a reason*"])


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ("openvino,warp", "*'warp': choose from chromium, ffprobe, gpu*"),
        ("tiny", "*'tiny', which is not*"),
    ],
)
def test_what_is_required_and_not_there_ends_the_run(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, names: str, complaint: str
) -> None:
    monkeypatch.setenv("STREAMGEN_REQUIRE", names)
    session.makepyfile(test_devices=ONE_SKIP)

    result = run(session)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([complaint])
