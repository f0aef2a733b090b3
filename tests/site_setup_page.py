"""docs/site-setup.md, as those read it who follow it: its indented blocks, by section."""

import re

from tests.report_samples import DOCS

PAGE = DOCS / "site-setup.md"


def blocks(section: str) -> list[str]:
    """The indented blocks of a section, without their indentation."""
    text = re.split(r"^## \d+\. ", PAGE.read_text(), flags=re.MULTILINE)
    (found,) = [part for part in text if part.startswith(section)]
    return [
        re.sub("^ {4}", "", block, flags=re.MULTILINE)
        for block in re.findall(r"(?:^ {4}.*\n(?:\n(?= {4}))?)+", found, re.MULTILINE)
    ]
