"""The README: short, every claim with its proof, and a picture that shows what it says."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tests.documented_commands import ROOT

README = (ROOT / "README.md").read_text()
CLAIMS = README.partition("## What makes it different\n")[2].partition("\n## ")[0]
LINK = re.compile(r"!?\[(?P<text>[^]]*)\]\((?P<target>[^\s)]+)(?:\s+\"(?P<title>[^\"]*)\")?\)")
PROOFS = ("tests/", "docs/benchmarks.md", "docs/performance.md", "docs/scaling.md")
PICTURE = ROOT / "docs/pictures/load.svg"


def claims() -> list[str]:
    return re.split(r"^- ", CLAIMS, flags=re.MULTILINE)[1:]


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 150


def test_every_claim_has_a_proof() -> None:
    assert len(claims()) >= 8
    for claim in claims():
        targets = [found["target"] for found in LINK.finditer(claim)]
        assert any(target.startswith(PROOFS) for target in targets), claim


@pytest.mark.parametrize(
    "link", list(LINK.finditer(CLAIMS)), ids=lambda found: found["target"].rpartition("/")[2]
)
def test_every_proof_is_there(link: re.Match[str]) -> None:
    """The title of a link names the test, or the heading of what was measured."""
    text = (ROOT / link["target"]).read_text()
    title = link["title"]
    if link["target"].startswith("tests/") and title is not None:
        assert re.search(rf"^(async )?def {title}\(", text, re.MULTILINE)
    elif title is not None:
        assert re.search(rf"^##+ {re.escape(title)}$", text, re.MULTILINE)
    else:
        assert "test_" not in link["target"], "which test?"


def test_the_picture_is_one_and_shows_what_it_says() -> None:
    root = ElementTree.parse(PICTURE).getroot()
    words = "\n".join(root.itertext())
    assert "$ imaging-load -c -i sample 1-12 ~4-5" in words
    assert "imaging-load: 9 of 10 nodes done, 1 failed in" in words
    assert "imaging-load: 1 of 1 nodes done in" in words
    assert "prefers-reduced-motion" in words
    assert str(PICTURE.relative_to(ROOT)) in README


def test_the_makefile_makes_what_the_readme_says() -> None:
    for goal in re.findall(r"`make (\w+)`|^    make (\w+)$", README, re.MULTILINE):
        dry = ["make", "--dry-run", "PYTHON=" + sys.executable, "".join(goal)]
        made = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
