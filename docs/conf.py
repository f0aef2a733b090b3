"""How Sphinx builds these pages: ``make docs``.

The pages are written for the forge as well, where links are relative paths into the repository.
Here, a link to a page of the repository goes to that page, and one to any other file to a copy of
it beside the pages.
"""

from pathlib import Path

from docutils import nodes
from pygments.lexers.data import JsonLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

import imaging

project = "imaging"
author = "the authors of imaging"
release = version = imaging.__version__

extensions = ["myst_parser"]
exclude_patterns = ["man"]
myst_heading_anchors = 4
highlight_language = "text"
html_theme = "furo"
html_title = f"imaging {release}"
html_copy_source = False
html_show_copyright = False
html_use_index = False

DOCS = Path(__file__).parent


def page_of(file: Path) -> str | None:
    """The page that shows a Markdown file from the top of the repository, if one does."""
    if file.name == "README":
        return "index"
    page = f"project/{file.name.lower()}"
    return page if file.parent == DOCS.parent and (DOCS / f"{page}.md").exists() else None


def turn_to_pages(_app: Sphinx, doctree: nodes.document) -> None:
    """Have links to Markdown files outside of this directory go to the pages that show them.

    myst_parser takes each for a page with an absolute path, without its suffix.
    """
    for link in doctree.findall(pending_xref):
        if link["reftype"] == "myst" and link["reftarget"].startswith("/"):
            link["reftarget"] = page_of(Path(link["reftarget"])) or link["reftarget"]


def setup(app: Sphinx) -> None:
    """Register what this file adds."""
    app.add_lexer("jsonl", JsonLexer)
    app.connect("doctree-read", turn_to_pages)
