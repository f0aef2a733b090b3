"""etc/profile.d/imaging.sh in the shells that people have."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.commands import BIN, user_environment
from tests.site_directory import SiteDirectory

PROFILE = Path(__file__).parent.parent / "etc/profile.d/imaging.sh"
SHELLS = ("bash", "bash --posix", "dash", "busybox ash", "zsh")


class Shell:
    """A shell that has read the profile, in the directory of a site."""

    def __init__(self, words: list[str], site: SiteDirectory) -> None:
        self.site = site
        self._words = words
        self._stubs = site.directory / "stubs"
        self._stubs.mkdir()

    def run(
        self, script: str, *, profile: bool = True, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a script after the profile; what fails ends it."""
        environment = user_environment(self.site.directory)
        environment["PATH"] = f"{self._stubs}:{environment['PATH']}"
        file = self.site.directory / "script"
        file.write_text(f"set -eu\n{f'. {PROFILE}' if profile else ''}\n{script}\n")
        return subprocess.run(
            [*self._words, str(file)],
            cwd=self.site.directory,
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def says(self, script: str, *, profile: bool = True, **variables: str) -> str:
        """What a script that must succeed, and say nothing else, prints."""
        done = self.run(script, profile=profile, **variables)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def stub(self, name: str, script: str) -> None:
        """Have a command that is none of ours."""
        file = self._stubs / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    name, *options = str(request.param).split()
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return Shell([found, *options], SiteDirectory(tmp_path))


def test_it_is_silent_and_may_be_read_again(shell: Shell) -> None:
    assert shell.says(f". {PROFILE}\n. {PROFILE}\nall-nodes\necho $NODES", ALL_NODES="1") == "1\n"


def test_it_leaves_no_variables_behind(shell: Shell) -> None:
    shell.stub("imaging-nodes", "echo \"export NODES='fit01'\"")
    names = "set | sed -n 's/^\\([A-Za-z_][A-Za-z_0-9]*\\)=.*/\\1/p'"
    without = shell.says(names, profile=False, NODES="1")
    script = f"all-nodes\nfocus-nodes-on\n{names}"
    added = set(shell.says(script, NODES="1").split()) - set(without.split())
    assert added <= {"_", "PIPESTATUS"}  # the shell's own


@pytest.mark.parametrize("verb", ["load", "save", "wait", "list"])
def test_short_names_pass_their_arguments_on(shell: Shell, verb: str) -> None:
    shell.stub(f"imaging-{verb}", 'printf "<%s>" "$0" "$@"; exit 7')
    done = shell.run(f"i{verb} -i 'two words' '' '*' || echo \" $?\"")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"/imaging-{verb}><-i><two words><><*> 7\n")


def test_a_short_name_that_is_an_alias_already_is_no_error(shell: Shell) -> None:
    shell.stub("imaging-load", "echo loaded")
    enable = "shopt -s expand_aliases" if "BASH" in shell.says("set") else ":"
    assert shell.says(f"{enable}\nalias iload='echo hello'\n. {PROFILE}\niload") == "loaded\n"


def test_all_nodes_are_those_of_the_variable(shell: Shell) -> None:
    script = "all-nodes\nsh -c 'echo $NODES'"
    assert shell.says(script, ALL_NODES="1-37 ~4", NODES="1") == "1-37 ~4\n"


@pytest.mark.parametrize("prelude", ["", "ALL_NODES=\n", "IFS=\n"], ids=repr)
def test_all_nodes_without_the_variable_are_asked_for(shell: Shell, prelude: str) -> None:
    script = "all-nodes\nsh -c 'echo \"<$NODES>\"'\nimaging-nodes"
    printed = "<fit01 fit02 fit03>\nfit01\nfit02\nfit03\n"
    assert shell.says(prelude + script) == printed
    shell.site.add_settings("[inventory]\nall_nodes = 1,3\n")
    assert shell.says(prelude + "all-nodes\necho $NODES") == "fit01 fit03\n"


def test_all_nodes_of_a_broken_site_changes_nothing(shell: Shell) -> None:
    shell.site.inventory.unlink()
    done = shell.run('all-nodes || echo "$? $NODES"', NODES="1 2")
    assert done.stdout == "2 1 2\n"
    assert "cannot be read" in done.stderr


@pytest.mark.parametrize("quote", ["'", ""])
@pytest.mark.parametrize("status", [0, 1])
def test_the_focus_is_on_the_nodes_that_are_on(shell: Shell, status: int, quote: str) -> None:
    names = "fit01 fit02" if quote else "fit01"
    shell.stub(
        "imaging-nodes",
        f'echo "$NODES: $*" > asked; echo "export NODES={quote}{names}{quote}"; exit {status}',
    )
    # a variable that is not exported is the user's $NODES as well
    script = "NODES='1 2 3'\nfocus-nodes-on && outcome=0 || outcome=$?\n"
    script += "sh -c 'echo \"<$NODES>\"'\necho $outcome"
    assert shell.says(script) == f"<{names}>\n{status}\n"
    assert (shell.site.directory / "asked").read_text() == "1 2 3: --on --export\n"


def test_no_node_is_on(shell: Shell) -> None:
    shell.stub("imaging-nodes", "echo \"export NODES=''\"")
    assert shell.says("NODES='1 2'\nfocus-nodes-on\necho \"<$NODES>\"") == "<>\n"


@pytest.mark.parametrize("output", ["", "echo surprise; echo rm -rf /"])
def test_without_an_answer_nodes_stay_as_they_were(shell: Shell, output: str) -> None:
    shell.stub("imaging-nodes", f"echo sorry >&2\n{output}\nexit 2")
    done = shell.run('focus-nodes-on || echo "$? $NODES"', NODES="1 2")
    assert (done.stdout, done.stderr) == ("2 1 2\n", "sorry\n")


def test_a_failing_command_ends_a_script_that_wants_so(shell: Shell) -> None:
    shell.stub("imaging-nodes", "exit 1")
    done = shell.run("focus-nodes-on\necho not reached", NODES="1")
    assert (done.returncode, done.stdout) == (1, "")


def test_without_the_installed_commands_the_error_is_the_shell_s(shell: Shell) -> None:
    path = ":".join(p for p in user_environment(BIN)["PATH"].split(":") if p != str(BIN))
    done = shell.run('all-nodes || echo "$? ${NODES-unset}"', PATH=path)
    assert done.stdout == "127 unset\n"
    assert "imaging-nodes" in done.stderr
