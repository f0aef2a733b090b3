"""All that is written from the code, by its place in ``docs``."""

from pathlib import Path

from docs.generate.commands import all_commands
from docs.generate.manuals import all_manuals
from docs.generate.pages import all_pages
from docs.generate.prose import MADE

DOCS = Path(__file__).parent.parent


def made_before() -> list[Path]:
    """Every file that was made here before; others may be beside them."""
    files = [*(DOCS / "reference").rglob("*.md"), *(DOCS / "man").glob("*.[1-9]")]
    return [file for file in files if MADE in file.read_text("utf-8").partition("\n")[0]]


def written() -> dict[str, str]:
    """The content of every file that is made here."""
    commands = all_commands()
    pages = {f"reference/{place}": text for place, text in all_pages(commands).items()}
    return pages | all_manuals(commands)
