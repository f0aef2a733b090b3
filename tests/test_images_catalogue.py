"""What the images directories hold, told as what it is."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError
from imaging.images.catalogue import Entry, Kind, aliases_of, catalogue, link_chain
from imaging.images.library import ImageLibrary
from imaging.images.partial import open_partial
from imaging.images.provenance import SidecarState
from imaging.images.verification import fault_of
from tests import ndz_samples
from tests.library_samples import OLD_NAME, SAVED, write_image, write_saved
from tests.messages.recorder import heard


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def entries(images: Path, private: Path | None = None) -> dict[str, Entry]:
    found = catalogue(ImageLibrary(images, private))
    assert [entry.name for entry in found] == sorted(entry.name for entry in found)
    return {entry.name: entry for entry in found}


def test_an_image_with_its_sidecar(images: Path) -> None:
    write_saved(images / "fedora.ndz", ndz_samples.DOS_EXT4)
    entry = entries(images)["fedora"]
    assert entry.kind is Kind.IMAGE
    assert entry.usable
    assert entry.path == entry.file == images / "fedora.ndz"
    assert (entry.size, entry.covered_bytes) == (2 << 20, 129024 * 512)
    assert entry.minimum_disk_size == ndz_samples.DOS_EXT4.file[0]
    assert entry.date == SAVED
    assert entry.sidecar is not None
    assert (entry.sidecar.user, entry.sidecar.comment) == ("ann", "as installed")
    assert entry.sidecar_state is SidecarState.FINE
    assert entry.problem is None
    assert fault_of(entry) is None


def test_an_image_without(images: Path) -> None:
    write_image(images / f"{OLD_NAME}.ndz")
    entry = entries(images)[OLD_NAME]
    assert entry.kind is Kind.IMAGE
    assert entry.date == datetime(2026, 2, 1, tzinfo=UTC)
    assert (entry.sidecar, entry.sidecar_state) == (None, SidecarState.MISSING)
    assert fault_of(entry) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no sidecar of an image"),
        ("\x00" * 70000, "larger than"),
        ('{"date": "9999-12-31T23:59:59-12:00"}', "is no sidecar"),
    ],
)
def test_a_malformed_sidecar(images: Path, text: str, words: str) -> None:
    write_image(images / "x.ndz")
    (images / "x.json").write_text(text)
    entry = entries(images)["x"]
    assert (entry.kind, entry.sidecar_state) == (Kind.IMAGE, SidecarState.MALFORMED)
    assert words in (entry.problem or "")
    assert words in (fault_of(entry) or "")


def test_a_date_that_cannot_be(images: Path) -> None:
    write_saved(images / "x.ndz", date=datetime.max.replace(tzinfo=UTC))
    assert entries(images)["x"].sidecar_state is SidecarState.MALFORMED
    heard(entries(images)["x"].problem or "")


def test_a_sidecar_of_another_file(images: Path) -> None:
    write_saved(images / "x.ndz", size=1 << 19)
    entry = entries(images)["x"]
    assert (entry.kind, entry.sidecar_state) == (Kind.IMAGE, SidecarState.OTHER_SIZE)
    assert entry.sidecar is None
    assert "524288" in (fault_of(entry) or "")
    write_saved(images / "x.ndz", size=1 << 21)
    entry = entries(images)["x"]
    assert entry.kind is Kind.BROKEN
    assert "cut short" in (entry.problem or "")


def test_aliases(images: Path, tmp_path: Path) -> None:
    write_saved(images / "fedora-40.ndz")
    write_image(tmp_path / "outside.ndz")
    (images / "fedora.ndz").symlink_to("fedora-40.ndz")
    (images / "latest.ndz").symlink_to(images / "fedora.ndz")
    (images / "out.ndz").symlink_to("../outside.ndz")
    found = entries(images)
    assert found["fedora-40"].aliases == ("fedora", "latest")
    assert found["fedora"].aliases == ("latest",)
    assert found["fedora"].target == "fedora-40"
    assert found["latest"].target == str(images / "fedora.ndz")
    assert found["out"].target == "../outside.ndz"
    for name in ("fedora", "latest", "out"):
        assert found[name].kind is Kind.ALIAS
        assert fault_of(found[name]) is None
    assert found["latest"].file == images / "fedora-40.ndz"
    assert found["latest"].sidecar == found["fedora-40"].sidecar
    library = ImageLibrary(images)
    assert [p.stem for p in aliases_of(library, images / "fedora-40.ndz")] == ["fedora", "latest"]
    assert [p.stem for p in aliases_of(library, images / "fedora.ndz")] == ["latest"]


def test_what_leads_nowhere(images: Path) -> None:
    (images / "gone.ndz").symlink_to("nowhere.ndz")
    (images / "loop.ndz").symlink_to("pool.ndz")
    (images / "pool.ndz").symlink_to("loop.ndz")
    found = entries(images)
    assert {entry.kind for entry in found.values()} == {Kind.DANGLING}
    assert found["gone"].problem == "an alias of nowhere, which does not exist"
    assert "loop" in (found["loop"].problem or "")
    heard(found["loop"].problem or "")
    assert found["loop"].aliases == ("pool",)
    assert len(link_chain(images / "loop.ndz")) < 100
    assert fault_of(found["gone"]) == found["gone"].problem


def test_what_is_broken(images: Path) -> None:
    (images / "cut.ndz").write_bytes(ndz_samples.truncated())
    (images / "empty.ndz").touch()
    (images / "text.ndz").write_text("text")
    (images / "folder.ndz").mkdir()
    (images / "alias.ndz").symlink_to("cut.ndz")
    os.mkfifo(images / "pipe.ndz")
    os.mkfifo(images / ".pipe.ndz.partial")
    found = catalogue(ImageLibrary(images))
    assert {entry.kind for entry in found} == {Kind.BROKEN}
    assert not any(entry.usable for entry in found)
    problems = {entry.path.name: entry.problem or "" for entry in found}
    assert problems["cut.ndz"] == problems["alias.ndz"]
    assert problems["cut.ndz"].startswith("the image is truncated: ")
    assert problems["empty.ndz"] == "the image is empty"
    assert problems["text.ndz"] == "Bad Magic Number! (text.ndz is not an image)"
    for name in ("folder.ndz", "pipe.ndz", ".pipe.ndz.partial"):
        assert problems[name] == "not a regular file"


def test_what_only_a_check_finds(images: Path) -> None:
    (images / "damaged.ndz").write_bytes(ndz_samples.corrupt())
    write_saved(images / "other.ndz", sha256="0" * 64)
    found = entries(images)
    assert {entry.kind for entry in found.values()} == {Kind.IMAGE}
    assert fault_of(found["damaged"]) == "inflate failed, err=-3 (chunk 0 of damaged.ndz)"
    assert "the sidecar says 0000" in (fault_of(found["other"]) or "")
    (images / "other.ndz").unlink()
    assert fault_of(found["other"]) == "No such file or directory"


def test_saves_under_way_and_what_dead_ones_left(images: Path) -> None:
    (images / ".dead.ndz.partial").write_bytes(b"123")
    with open_partial(images / "live.ndz") as partial:
        partial.write(ndz_samples.RAW.read())
        found = entries(images)
        assert found["live"].kind is found["dead"].kind is Kind.PARTIAL
        assert (found["live"].growing, found["live"].size) == (True, 1 << 20)
        assert (found["dead"].growing, found["dead"].size) == (False, 3)
        assert not found["live"].usable
    assert entries(images).keys() == {"dead"}


def test_what_has_nothing_to_do_with_images(images: Path) -> None:
    for name in ("notes.txt", ".hidden.ndz", "x.json", ".x.json.partial-17", "ndz"):
        (images / name).touch()
    assert entries(images) == {}


def test_both_directories(images: Path, tmp_path: Path) -> None:
    write_image(images / "a.ndz")
    assert entries(images, tmp_path / "private").keys() == {"a"}
    write_image(tmp_path / "private/a.ndz")
    write_image(tmp_path / "private/b.ndz")
    found = catalogue(ImageLibrary(images, tmp_path / "private"))
    assert [(entry.name, entry.private) for entry in found] == [
        ("a", False),
        ("a", True),
        ("b", True),
    ]


def test_a_directory_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent does not exist"):
        catalogue(ImageLibrary(tmp_path / "absent"))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot read .*file: Not a directory"):
        catalogue(ImageLibrary(tmp_path, tmp_path / "file"))
