"""The table of RFC9725.md names tests that exist, and all of those that cite the RFC's sections."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aioice import ice

import server

HERE = Path(__file__).parent
ROOT = Path(server.__file__).parents[1]
TABLE = Path(server.__file__).with_name("RFC9725.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/]+\.py)::(test_\w+)`", TABLE)


def names_in(file):
    return re.findall(r"^def (test_\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_of_the_table_exists(file, name):
    assert name in names_in(ROOT / file if "/" in file else HERE / file)


def test_a_row_of_the_table_has_a_test():
    rows = [line for line in TABLE.splitlines() if re.match(r"\| \d", line)]

    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row] == []


def test_a_test_that_cites_a_section_is_in_the_table():
    cited = {
        name
        for file in HERE.glob("test_whip_rfc9725*.py")
        for name in names_in(file)
        if name.startswith("test_section_")
    }

    assert cited - {name for _, name in NAMED} == {
        "test_section_5_a_body_that_is_too_large_is_not_read",  # RFC 9110, not WHIP
    }


def test_section_4_2_consent_expires_as_rfc_7675_has_it():
    """RFC 7675, section 5.1: after 30 s without an answer."""
    assert ice.CONSENT_FAILURES * ice.CONSENT_INTERVAL <= 30


@pytest.mark.parametrize("path", ["/whip/cam", "/whip/cam/", "/whip//cam", "/whip", "/whip/"])
def test_section_4_5_no_offer_is_redirected_by_301_or_302(serve, publisher_sdp, path):
    """Status codes 301 and 302 MUST NOT be used: a POST would become a GET."""

    async def work(served):
        return await served.signal(path, publisher_sdp)

    assert serve(work).status_code not in (301, 302)
