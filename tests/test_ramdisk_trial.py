"""Programs of a ramdisk, tried on this host: with libraries that are, or are not, theirs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError, ImagingError
from imaging.ramdisk.elf import LIBRARIES, LOADER, library_closure
from imaging.ramdisk.tree import File, Link, Tree
from imaging.ramdisk.trial import laid_out, prove_libraries, run_there

HOST = (Path("/lib/x86_64-linux-gnu"), Path("/usr/lib/x86_64-linux-gnu"), Path("/lib64"))
PROGRAM = "int answer(void);\nint main(void) { return answer() != 42; }\n"
LIBRARY = "int answer(void) { return 42; }\n"
needs_compiler = pytest.mark.skipif(
    shutil.which("gcc") is None or not (HOST[0] / LOADER).exists(),
    reason="the programs are made with gcc, on an amd64 machine with Debian's directories",
)


def host_library(name: str) -> bytes | None:
    return next((p.read_bytes() for d in HOST if (p := d / name).is_file()), None)


def compiled(place: Path) -> tuple[File, File, File]:
    """A program, the library that it was made for, and one of another version."""
    (place / "answer.c").write_text(LIBRARY)
    (place / "program.c").write_text(PROGRAM)
    for version in ("V_1", "V_2"):
        (place / f"{version}.map").write_text(f"{version} {{ answer; }};\n")
        words = [
            "-shared",
            "-fPIC",
            "-Wl,-soname,libanswer.so",
            f"-Wl,--version-script={version}.map",
        ]
        subprocess.run(["gcc", *words, "-o", f"{version}.so", "answer.c"], cwd=place, check=True)
    subprocess.run(["gcc", "-o", "program", "program.c", "V_2.so"], cwd=place, check=True)
    return tuple(  # type: ignore[return-value]
        File((place / name).read_bytes(), executable=True)
        for name in ("program", "V_2.so", "V_1.so")
    )


def system(program: File, library: File) -> Tree:
    """A tree with both, and with the libraries of this host that they need."""
    tree = Tree.with_merged_usr()
    tree.add("bin/program", program)

    def find(name: str) -> bytes | None:
        return library.data if name == "libanswer.so" else host_library(name)

    for name, data in library_closure([("program", program.data)], find).items():
        tree.add(f"{LIBRARIES}/{name}", File(data, executable=True))
    return tree


@needs_compiler
def test_a_program_goes_with_its_own_libraries_only(tmp_path: Path) -> None:
    program, right, wrong = compiled(tmp_path)
    tree = system(program, right)
    prove_libraries(tree, ["usr/bin/program"])
    with laid_out(tree) as place:
        assert run_there(place, [str(place / "usr/bin/program")], {}).returncode == 0
    with pytest.raises(ConfigurationError) as caught:
        prove_libraries(system(program, wrong), ["usr/bin/program"])
    assert "program does not go with the ramdisk's libraries: " in str(caught.value)
    assert "version `V_2' not found" in str(caught.value)


def test_scripts_need_no_trial() -> None:
    tree = Tree.with_merged_usr()
    tree.add("bin/frisbee", File(b"#!/bin/sh\n", executable=True))
    prove_libraries(tree, ["usr/bin/frisbee"])


def with_loader(text: str) -> Tree:
    """A system whose loader is a script."""
    tree = Tree.with_merged_usr()
    tree.add(f"{LIBRARIES}/{LOADER}", File(f"#!/bin/sh\n{text}\n".encode(), executable=True))
    return tree


def test_a_loader_that_does_not_run_here() -> None:
    with laid_out(with_loader("exit 0")) as place:
        (place / LIBRARIES / LOADER).chmod(0o644)
        with pytest.raises(ConfigurationError, match="Permission denied .*mounted with noexec"):
            run_there(place, ["x"], {})
        (place / LIBRARIES / LOADER).unlink()
        with pytest.raises(ConfigurationError, match="do not run here: No such .*amd64 machine"):
            run_there(place, ["x"], {})


def test_a_program_that_does_not_end_is_given_up() -> None:
    slow = with_loader("exec sleep 60")
    words = r"has not ended after 0\.1 s"
    with laid_out(slow) as place, pytest.raises(ConfigurationError, match=words):
        run_there(place, ["x"], {"PATH": "/usr/bin:/bin"}, patience_s=0.1)


def test_what_is_laid_out_is_gone_afterwards() -> None:
    tree = Tree.with_merged_usr()
    tree.add("etc/name", File(b"text"))
    tree.add("etc/link", Link("name"))
    with laid_out(tree) as place:
        assert (place / "etc/link").read_bytes() == b"text"
    assert not place.exists()


def test_no_room_for_a_trial_is_told(tmp_path: Path) -> None:
    """In a process of its own, which may write no larger file."""
    script = (
        "import resource, signal\n"
        "from imaging.errors import ImagingError\n"
        "from imaging.ramdisk.tree import File, Tree\n"
        "from imaging.ramdisk.trial import laid_out\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "tree = Tree()\n"
        "tree.add('large', File(bytes(8192)))\n"
        "try:\n"
        "    with laid_out(tree): pass\n"
        "except ImagingError as error:\n"
        "    print(error)\n"
    )
    words = [sys.executable, "-B", "-c", script]
    done = subprocess.run(
        words, env={"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert f"cannot be laid out in {tmp_path} for a trial: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    words = "cannot be laid out in .* for a trial: No such file"
    with pytest.raises(ImagingError, match=words), laid_out(Tree()):
        pass
