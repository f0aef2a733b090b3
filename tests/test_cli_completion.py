"""Completion in bash, zsh and fish themselves, with the scripts of etc/completion."""

import shlex
import shutil
import subprocess
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from imaging.cli.completion_scripts import NAMES, completion_scripts
from tests.commands import user_environment
from tests.report_samples import DOCS
from tests.site_directory import HEAVY_LIBRARIES, SiteDirectory, inventory_rows
from tests.terminals import terminal

SCRIPTS = DOCS.parent / "etc/completion"
C_STYLE = {"imaging-frisbeed", "imaging-frisbee", "imaging-imagezip", "imaging-imageunzip"}
BASH = """\
. {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ echo "compopt $*"; }}
_imaging_complete "${{COMP_WORDS[0]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

CASES = [
    (["imaging-load", "fit0"], ["fit01", "fit02", "fit03", "fit04"]),
    (["imaging", "load", "fit01,fit02-"], ["fit01,fit02-fit03", "fit01,fit02-fit04"]),
    (["imaging-status", "-a", "~3"], ["~3"]),
    (["iwait", "reboot04"], ["reboot04"]),
    (["imaging-leases", "book", "now", "1h", "fit04"], ["fit04"]),
    (["imaging-load", "-i", "fed"], ["fedora-40", "fedora-41"]),
    (["imaging-load", "--image", "d"], ["debian"]),
    (["imaging-image", "rm", "fedora-40"], ["fedora-40"]),
    (["imaging", "image", "sh"], ["share"]),
    (["imaging-list", "--resolve", "d"], ["debian"]),
    (["imaging", "le"], ["leases"]),
    (["imaging-load", "--min"], ["--min-ok"]),
    (["imaging-load", "--on-failure", "l"], ["leave"]),
    (["imaging-config", "load."], ["load.timeout_s"]),
    (["imaging-load", "fedora"], []),
]


@pytest.fixture
def site(tmp_path: Path) -> SiteDirectory:
    site = SiteDirectory(tmp_path)
    site.write_inventory(inventory_rows(4))
    for name in ("fedora-40", "fedora-41", "debian"):
        (site.directory / f"images/{name}.ndz").touch()
    return site


def said(site: SiteDirectory, shell: str, script: str) -> list[str]:
    """What a shell prints that runs a script without an error."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [program, "-c", script],
        cwd=site.directory,
        env=user_environment(site.directory),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")


def in_bash(site: SiteDirectory, words: list[str]) -> list[str]:
    """What bash offers for the last of the words, which are as bash divides them."""
    text = " ".join(shlex.quote(word) for word in words)
    found = said(site, "bash", BASH.format(script=SCRIPTS / "imaging.bash", words=text))
    return [word for word in found if word]


def in_fish(site: SiteDirectory, line: str) -> list[str]:
    """What fish offers at the end of a line, without the descriptions."""
    script = f"source {SCRIPTS / 'imaging.fish'}; complete -C {shlex.quote(line)}"
    return [word.partition("\t")[0] for word in said(site, "fish", script) if word]


def test_the_scripts_are_those_of_the_code() -> None:
    written = {file.name: file.read_text() for file in SCRIPTS.iterdir()}
    assert written == completion_scripts(), "make completions writes them anew"


def test_every_command_is_completed() -> None:
    installed = {
        entry.name
        for entry in entry_points(group="console_scripts")
        if entry.value.startswith("imaging.")
    }
    assert set(NAMES) == installed - C_STYLE


@pytest.mark.parametrize(("words", "expected"), CASES, ids=" ".join)
def test_bash_offers(site: SiteDirectory, words: list[str], expected: list[str]) -> None:
    assert in_bash(site, words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["imaging-load", "--image", "=", "d"], ["debian"]),
        (["imaging-load", "--image", "="], ["debian", "fedora-40", "fedora-41"]),
        (["imaging-load", "--image", "=", "debian", "fit04"], ["fit04"]),
    ],
    ids=" ".join,
)
def test_bash_offers_behind_an_equals_sign(
    site: SiteDirectory, words: list[str], expected: list[str]
) -> None:
    """By which bash divides words."""
    assert in_bash(site, words) == expected


def test_bash_completes_paths_by_itself(site: SiteDirectory) -> None:
    assert in_bash(site, ["imaging-load", "-i", "./im"]) == ["compopt -o default"]
    assert in_bash(site, ["imaging-testbed", "up", "im"]) == ["compopt -o dirnames"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        *(case for case in CASES if case[0][0] != "iwait"),  # fish has no profile.d
        (["imaging-load", "--image=d"], ["--image=debian"]),
        (["imaging-load", "-i", "./imag"], ["./images/", "./imaging.conf"]),
        (["imaging-load", "--image=./images/d"], ["--image=./images/debian.ndz"]),
    ],
    ids=" ".join,
)
def test_fish_offers(site: SiteDirectory, words: list[str], expected: list[str]) -> None:
    assert in_fish(site, " ".join(words)) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("imaging-load fit04", "imaging-load fit04 "),
        ("imaging load 1,fit01-fit04", "imaging load 1,fit01-fit04 "),
        ("imaging-status -a \\~fit04", "imaging-status -a \\~fit04 "),
        ("imaging-load -i d", "imaging-load -i debian "),
        ("imaging-load --image=d", "imaging-load --image=debian "),
        ("imaging le", "imaging leases "),
        ("isave reboot04", "isave reboot04 "),
        ("imaging-load -i ./images/d", "imaging-load -i ./images/debian.ndz "),
    ],
)
def test_zsh_completes(site: SiteDirectory, typed: str, expected: str) -> None:
    """Typed at its prompt, as there is no other way; what is offered alone is put in."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    (site.directory / ".zshrc").write_text(
        f"PS1='ready> '\nfpath=({shlex.quote(str(SCRIPTS))} $fpath)\n"
        "autoload -Uz compinit\ncompinit -u -d ./.zcompdump\n"
    )
    with terminal(100, 10) as opened:
        environment = user_environment(site.directory)
        opened.start("zsh", "-i", cwd=site.directory, environment=environment)
        opened.see("ready>")
        opened.press(f"{typed}\t#")
        opened.wait_for(lambda lines: f"ready> {expected}#" in lines)


def test_bash_completes_what_is_typed(site: SiteDirectory) -> None:
    (site.directory / ".bashrc").write_text(f"PS1='ready> '\n. {SCRIPTS / 'imaging.bash'}\n")
    with terminal(100, 10) as opened:
        environment = {**user_environment(site.directory), "INPUTRC": "/dev/null"}
        opened.start("bash", "-i", cwd=site.directory, environment=environment)
        opened.see("ready>")
        for typed, expected in (
            ("imaging-load ~fit04", "imaging-load ~fit04 "),
            ("imaging load --image=d", "imaging load --image=debian "),
            ("imaging-load -i ./images/d", "imaging-load -i ./images/debian.ndz "),
        ):
            opened.press(f"{typed}\t#")
            opened.wait_for(lambda lines, seen=f"ready> {expected}#": seen in lines)  # type: ignore[misc]
            opened.press("\x15")


@pytest.mark.parametrize(
    ("broken", "nodes", "images"),
    [
        ("settings", [], []),
        ("inventory", [], ["debian"]),
        ("images", ["fit04"], []),
    ],
)
def test_a_site_that_is_not_in_order_offers_nothing(
    site: SiteDirectory, broken: str, nodes: list[str], images: list[str]
) -> None:
    """And says nothing: whoever types is told when the command is run."""
    if broken == "settings":
        site.add_settings("[images]\nnonsense\n")
    elif broken == "inventory":
        site.write_inventory({})
    else:
        shutil.rmtree(site.directory / "images")
    for words, expected in (("imaging-load fit04", nodes), ("imaging-load -i d", images)):
        done = asked(site, words)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == [f"plain,{word}" for word in expected]


@pytest.mark.parametrize("words", ["imaging-load fit0", "imaging-load -i f", "imaging-load --"])
def test_no_heavy_library_is_imported(site: SiteDirectory, words: str) -> None:
    done = asked(site, words, PYTHONPROFILEIMPORTTIME="1")
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in modules
    assert modules.isdisjoint(HEAVY_LIBRARIES)


def asked(site: SiteDirectory, words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """What imaging-load answers to the script of bash."""
    question = {
        "_IMAGING_LOAD_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    return site.run("imaging-load", **question, **variables)
