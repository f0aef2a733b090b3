"""Every link of the documentation leads somewhere, on the forge, and every page is found."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def without_code(text: str) -> str:
    """A page without what stands in fences and between backticks."""
    return re.sub(
        r"`[^`\n]+`", "", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    )


def links_of(page: Path) -> Iterator[str]:
    """Where a page leads to inside of the repository."""
    for target in re.findall(r"\]\(\s*<?([^)\s>]+)>?\s*\)", without_code(page.read_text("utf-8"))):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors_of(page: Path) -> set[str]:
    """The names of a page's headings, as forges make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower().strip() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links_of(page):
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        assert file.is_relative_to(ROOT), target
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors_of(file), target


def test_every_page_is_in_the_tree_of_contents() -> None:
    listed: set[str] = set()
    names = {page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")}
    for page in DOCS.rglob("*.md"):
        room = page.parent.relative_to(DOCS).as_posix().removeprefix(".")
        for tree in re.findall(
            r"^```\{toctree\}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE
        ):
            for entry in re.findall(r"^[^:\n].*$", tree, re.MULTILINE):
                pattern = f"{room}/{entry}".removeprefix("/")
                listed |= {name for name in names if fnmatch(name, pattern)}
    assert names - listed == {"index"}


def test_pages_of_the_repository_that_are_linked_are_shown() -> None:
    for page in DOCS.rglob("*.md"):
        for target in links_of(page):
            file = (page.parent / target.partition("#")[0]).resolve()
            if file.parent == ROOT and file.suffix == ".md" and file.name != "README.md":
                assert (DOCS / "project" / file.name.lower()).exists(), target
