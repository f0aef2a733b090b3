"""The data plane of a ramdisk: which files of which package, and our own."""

import io
import sys
import zipfile
from importlib import metadata

import pytest

from imaging.ramdisk.data_plane import (
    TOOLS,
    installed_isal,
    is_wanted,
    is_wanted_standard,
    own_files,
    python_version,
    wheel_files,
)
from imaging.ramdisk.packages import PackageError
from imaging.ramdisk.tree import File, Link


@pytest.mark.parametrize(
    ("path", "wanted", "standard"),
    [
        ("usr/bin/python3.11", True, False),
        ("usr/lib/python3.11/os.py", True, False),
        ("usr/lib/python3.11/queue.py", True, True),
        ("usr/lib/python3.11/concurrent/futures/thread.py", True, True),
        ("usr/lib/python3.11/lib-dynload/_queue.cpython-311-x86_64-linux-gnu.so", True, True),
        ("usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so", False, False),
        ("usr/lib/python3.11/pydoc_data/topics.py", True, False),
        ("usr/lib/python3.12/queue.py", False, False),
        ("usr/share/doc/python3.11/copyright", False, False),
    ],
)
def test_files_of_python(path: str, wanted: bool, standard: bool) -> None:
    assert is_wanted(path, "3.11") is wanted
    assert is_wanted_standard(path, "3.11") is standard


def test_the_version_is_in_the_name_of_the_package() -> None:
    assert python_version({"libc6": None, "python3.11-minimal": None}) == "3.11"
    with pytest.raises(PackageError, match="no package of Python"):
        python_version({"libpython3.11-minimal": None})


def test_our_package_is_whole_and_has_a_command_per_tool() -> None:
    files = own_files("3.11")
    assert "usr/lib/python3.11/imaging/frisbee/commands/frisbee.py" in files
    assert "usr/lib/python3.11/imaging/frisbee/disklayout/gpt.py" in files
    assert not any("/cli/" in path or path.endswith(".pyc") for path in files)
    for tool in TOOLS:
        script = files[f"usr/bin/imaging-{tool}"]
        assert isinstance(script, File)
        assert script.executable
        assert files[f"usr/bin/{tool}"] == Link(f"imaging-{tool}")


def test_a_wheel_is_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("isal/__init__.py", "x = 1")
        archive.writestr("isal/isal_zlib.so", b"code")
        archive.writestr("isal-1.dist-info/RECORD", "")
    assert wheel_files(packed.getvalue(), "3.11") == {
        "usr/lib/python3.11/isal/__init__.py": File(b"x = 1"),
        "usr/lib/python3.11/isal/isal_zlib.so": File(b"code"),
    }
    with pytest.raises(PackageError, match="cannot be read"):
        wheel_files(b"no wheel", "3.11")


def test_isal_is_taken_from_the_installation_which_may_have_no_pip() -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = installed_isal(version)
    assert found is not None
    root = f"usr/lib/python{version}/isal"
    assert f"{root}/__init__.py" in found
    (library,) = [path for path in found if path.startswith(f"{root}/isal_zlib.")]
    (file,) = [file for file in metadata.files("isal") or [] if library.endswith(str(file))]
    assert found[library] == File(file.read_binary())
    assert not [path for path in found if not path.endswith((".py", ".so"))]


def test_isal_of_another_python_is_not_taken() -> None:
    assert installed_isal("3.6") is None
