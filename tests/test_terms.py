"""One word for one thing, and one spelling of it: those of the design, in code, texts and pages.

Looked at is what people read: pages, settings and their comments, and the comments, docstrings and
messages of the code. The names that other software gives to things stay as they are.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("etc/**/*.conf")]
CODE = [*ROOT.glob("imaging/**/*.py"), *ROOT.glob("tests/**/*.py")]

# the term, and what it is not called
TERMS = {
    "nextboot": r"next-boot|NextBoot|next boot link",
    "nextboot link": r"nextboot symlink",
    "ramdisk": r"ram[- ]disk|RAM[- ]disk|RAM[dD]isk|RamDisk",
    "testbed": r"test[- ]bed",
    "hostname": r"host[- ]name",
    "timeout": r"time-out",
    "file system": r"file-?system",
    "multicast": r"multi-cast",
    "sidecar": r"side[- ]car",
    "checksum": r"check[- ]sum",
    "metadata": r"meta[- ]data",
    "superblock": r"super[- ]block",
    "power card": r"power-card|management (?:card|controller)",
    "CMC": r"Cmc",
    "BMC": r"Bmc",
    "pxelinux": r"PXELinux|Pxelinux|PXE-Linux",
    "frisbee server": r"frisbee (?:daemon|sender)|frisbeed server",
    "frisbee client": r"frisbee receiver",
    "Mibit/s": r"mibit/s|Mib/s|MiBit",
    "exit code": r"exit-code|exit value",
    "dry run": r"dryrun",
    "JSON lines": r"JSON-lines|json lines|JSON Lines",
    "behaviour": r"behavior",
    # at the beginning of a sentence only
    "frisbee, ramdisk, telnet, ...": (
        r"(?<=[a-z,] )(?:Frisbee|Ramdisk|Nextboot|Testbed|Telnet|Guard|Collector|Ssh|Chunk)"
    ),
    "ssh": r"(?<=[a-z,] )SSH",
}
FORBIDDEN = {
    term: re.compile(rf"(?<![\w/.-])(?:{words})(?:s|es|'s)?(?![\w/-])")
    for term, words in TERMS.items()
}
CODED = re.compile(r"``.+?``|`[^`\n]+`|https?://\S+")


# Python 3.12 has pieces of f-strings as tokens of their own
READ = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def texts(name: str, text: str) -> Iterator[tuple[int, str]]:
    """What there is to read in a file, with its lines; not what stands in back quotes."""
    if name.endswith(".py"):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in READ:
                for number, line in enumerate(token.string.splitlines()):
                    yield token.start[0] + number, CODED.sub("", line)
    else:
        without_blocks = re.sub(
            r"```.*?```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL
        )
        for number, line in enumerate(without_blocks.splitlines()):
            yield number + 1, CODED.sub("", line)


def deviations(name: str, text: str) -> list[str]:
    """Where a file calls a thing by another name."""
    return [
        f"{name}:{line}: {found[0]!r} is called {term}"
        for line, told in texts(name, text)
        for term, pattern in FORBIDDEN.items()
        if (found := pattern.search(told))
    ]


def test_everything_has_its_name() -> None:
    files = [file for file in [*PAGES, *CODE] if file != Path(__file__)]
    assert len(files) > 300
    found = [deviations(str(file.relative_to(ROOT)), file.read_text()) for file in files]
    assert [line for lines in found for line in lines] == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.py", '"""The next-boot link."""', ["'next-boot' is called nextboot"]),
        ("x.py", "x = f'{a} host names'  # the time-outs", ["hostname", "timeout"]),
        ("x.py", "host_name = meta_data  # its Bmc", ["BMC"]),
        ("x.md", "Ramdisk: a RAM disk,\n```\nlogs on SSH\n```\nor by SSH.", ["ramdisk", "ssh"]),
        ("x.md", "The `side car`, https://a.example/time-out and the ssh.", []),
    ],
)
def test_a_deviation_is_found(name: str, text: str, words: list[str]) -> None:
    found = deviations(name, text)
    assert len(found) == len(words)
    for word in words:
        assert any(line.endswith((word, f"called {word}")) for line in found)
