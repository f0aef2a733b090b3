"""Images by name."""

import os
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError
from imaging.images.library import ImageLibrary
from tests import ndz_samples


@pytest.fixture
def library(tmp_path: Path) -> ImageLibrary:
    for name in ("fedora-21.ndz", "debian_12+x.ndz"):
        (tmp_path / name).write_bytes(ndz_samples.RAW.read())
    (tmp_path / "latest.ndz").symlink_to("fedora-21.ndz")
    (tmp_path / "gone.ndz").symlink_to("nowhere")
    (tmp_path / "cut.ndz").write_bytes(ndz_samples.truncated())
    (tmp_path / ".hidden.ndz").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.ndz").mkdir()
    return ImageLibrary(tmp_path)


def test_names(library: ImageLibrary, tmp_path: Path) -> None:
    assert set(library.names()) >= {"fedora-21", "debian_12+x", "latest"}
    assert not {"notes", ".hidden", "notes.txt"} & set(library.names())
    assert ImageLibrary(tmp_path / "absent").names() == ()


@pytest.mark.parametrize("name", ["fedora-21", "fedora-21.ndz", "latest"])
def test_an_image_is_found_by_its_name(library: ImageLibrary, name: str, tmp_path: Path) -> None:
    image = library.open(name)
    assert image.path == tmp_path / "fedora-21.ndz"
    assert image.name == name
    assert image.summary.data_bytes == ndz_samples.RAW.decompressed


def test_an_image_is_found_by_its_path(library: ImageLibrary, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_bytes(ndz_samples.RAW.read())
    assert library.open(str(elsewhere / "mine")).summary.chunks == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fedora-22", r"no image 'fedora-22': .*/fedora-22\.ndz does not exist \(images of "),
        ("gone", r"is a dangling link"),
        ("folder", r"is not a regular file"),
        ("./nothing", r"no image './nothing': nothing does not exist"),
        ("a b", r"cannot be the name of an image"),
        ("", r"cannot be the name of an image"),
        (".hidden", r"cannot be the name of an image"),
        ("-i", r"cannot be the name of an image"),
        ("$(id)", r"cannot be the name of an image"),
        ("a\nb", r"cannot be the name of an image"),
        ("cut", r"cut\.ndz"),
    ],
)
def test_what_is_no_image(library: ImageLibrary, name: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        library.open(name)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_image_that_may_not_be_read(library: ImageLibrary, tmp_path: Path) -> None:
    (tmp_path / "fedora-21.ndz").chmod(0)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        library.open("fedora-21")


def test_an_empty_library_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there are no images in"):
        ImageLibrary(tmp_path).locate("x")
