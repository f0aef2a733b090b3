"""Images by name."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.images.library import ImageLibrary, check_name, radical_of
from imaging.site.schema import ImagesSettings
from tests import ndz_samples
from tests.library_samples import (
    NEWER_NAME,
    NEWEST_NAME,
    OLD_NAME,
    SAVED,
    write_image,
    write_saved,
)


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
        ("cut", r"the image is truncated: .*cut\.ndz"),
        ("x" * 300, r"has 200 characters at most"),
        ("./" + "x" * 300, r"File name too long"),
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


@pytest.fixture
def both(tmp_path: Path) -> ImageLibrary:
    """A library with both directories, and images saved by older tools in the private one."""
    write_saved(tmp_path / "images/fedora.ndz")
    write_saved(tmp_path / "private/fedora.ndz", ndz_samples.RAW)
    write_saved(tmp_path / "private/mine.ndz", ndz_samples.RAW)
    write_image(tmp_path / f"images/{OLD_NAME}.ndz", age_s=20)
    write_image(tmp_path / f"private/{NEWER_NAME}.ndz", age_s=10)
    return ImageLibrary(tmp_path / "images", tmp_path / "private")


def test_the_settings_say_where(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    assert ImageLibrary.of(ImagesSettings(directory=one)).directories == (one,)
    assert ImageLibrary.of(ImagesSettings(directory=one, private=two)).directories == (one, two)
    assert ImageLibrary.of(ImagesSettings(directory=one, private=one)).directories == (one,)


def test_the_images_directory_comes_first(both: ImageLibrary, tmp_path: Path) -> None:
    found = both.resolve("fedora")
    assert found.image.path == tmp_path / "images/fedora.ndz"
    assert found.why == "fedora.ndz is an image in the images directory"
    assert [(loser.path, loser.why) for loser in found.losers] == [
        (tmp_path / "private/fedora.ndz", "the images directory comes first")
    ]
    assert both.locate("mine") == tmp_path / "private/mine.ndz"
    assert both.resolve("mine").why == "mine.ndz is an image in the private directory"


def test_an_alias_leads_to_its_image(both: ImageLibrary, tmp_path: Path) -> None:
    (tmp_path / "images/ubuntu.ndz").symlink_to(f"{OLD_NAME}.ndz")
    found = both.resolve("ubuntu")
    assert found.image.path == tmp_path / f"images/{OLD_NAME}.ndz"
    assert found.why == "ubuntu.ndz is an alias in the images directory"
    assert [loser.path.stem for loser in found.losers] == [NEWER_NAME]


@pytest.mark.parametrize("name", ["ubuntu", "ubuntu.ndz"])
def test_a_radical_means_the_newest(both: ImageLibrary, name: str, tmp_path: Path) -> None:
    found = both.resolve(name)
    assert found.image.path == tmp_path / f"private/{NEWER_NAME}.ndz"
    assert found.image.name == name
    assert "newest" in found.why
    (loser,) = found.losers
    assert loser.path == tmp_path / f"images/{OLD_NAME}.ndz"
    assert loser.why == "is older: 2026-01-31 23:59:40 UTC"


def test_the_date_is_that_of_the_sidecar(both: ImageLibrary, tmp_path: Path) -> None:
    newest = write_saved(tmp_path / "images/x__ubuntu.ndz", date=SAVED - timedelta(days=40))
    os.utime(newest)
    assert both.locate("ubuntu").stem == NEWER_NAME
    write_saved(newest, date=SAVED)
    os.utime(newest, (0, 0))
    assert both.locate("ubuntu") == newest


def test_what_is_broken_is_passed_over(both: ImageLibrary, tmp_path: Path) -> None:
    images = tmp_path / "images"
    (images / f"{NEWEST_NAME}.ndz").write_bytes(ndz_samples.truncated())
    (images / "a__ubuntu.ndz").symlink_to("nowhere")
    (images / "b__ubuntu.ndz").symlink_to("b__ubuntu.ndz")
    (images / "c__ubuntu.ndz").mkdir()
    (images / "d\x1b__ubuntu.ndz").write_bytes(ndz_samples.V3.read())
    (images / ".e__ubuntu.ndz.partial").write_bytes(ndz_samples.V3.read())
    write_saved(images / "f__ubuntu.ndz", size=2 << 20)
    found = both.resolve("ubuntu")
    assert found.image.path.stem == NEWER_NAME
    reasons = {loser.path.stem: loser.why for loser in found.losers}
    assert len(reasons) == len(found.losers)
    for stem, words in {
        NEWEST_NAME: "the image is truncated",
        "a__ubuntu": "is a dangling link",
        "b__ubuntu": "is a dangling link",
        "c__ubuntu": "is not a regular file",
        "d\x1b__ubuntu": "its name holds control characters",
        "f__ubuntu": "is cut short",
        OLD_NAME: "is older",
    }.items():
        assert words in reasons.pop(stem)
    assert not reasons


def test_a_hole_in_the_middle_is_seen(both: ImageLibrary, tmp_path: Path) -> None:
    data = ndz_samples.DOS_EXT4.chunks
    (tmp_path / "images/x__ubuntu.ndz").write_bytes(data[0] + data[0] + data[1])
    assert both.locate("ubuntu").stem == NEWER_NAME


def test_a_radical_without_a_whole_image(tmp_path: Path) -> None:
    (tmp_path / "a\x1b__suse.ndz").write_bytes(ndz_samples.truncated())
    (tmp_path / "b__suse.ndz").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="none with that radical is usable") as caught:
        ImageLibrary(tmp_path).open("suse")
    assert "b__suse.ndz: the image is empty" in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_image_shorter_than_its_sidecar_is_refused(tmp_path: Path) -> None:
    image = write_saved(tmp_path / "x.ndz", ndz_samples.DOS_EXT4)
    with image.open("r+b") as stream:
        stream.truncate(1 << 20)
    with pytest.raises(ConfigurationError, match=r"x\.ndz: is cut short: .* remove x\.json"):
        ImageLibrary(tmp_path).open("x")
    (tmp_path / "x.json").unlink()
    assert ImageLibrary(tmp_path).open("x").summary.chunks == 1


def test_a_malformed_sidecar_stops_no_load(tmp_path: Path) -> None:
    write_image(tmp_path / "x.ndz")
    (tmp_path / "x.json").write_text("{")
    assert ImageLibrary(tmp_path).open("x").summary.chunks == 1


def test_names_of_both_directories_and_radicals(both: ImageLibrary) -> None:
    assert both.names() == ("fedora", "mine", "ubuntu")


@pytest.mark.parametrize(
    ("stem", "radical"),
    [("a__b", "b"), ("a__b__c", "c"), ("a___b", "b"), ("a__", None), ("a_b", None), ("__b", "b")],
)
def test_radicals(stem: str, radical: str | None) -> None:
    assert radical_of(stem) == radical


@given(st.text(st.characters(codec="utf-8"), max_size=8))
def test_a_name_is_safe_everywhere(name: str) -> None:
    try:
        stem = check_name(name)
    except ConfigurationError as error:
        assert str(error).isprintable()
        return
    assert stem
    assert stem[0] not in "-.~"
    assert not set(stem) & set(" \t\n/\\'\"$`;&|<>(){}*?[]!#%:@=~")
    assert stem.isascii()
