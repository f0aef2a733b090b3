"""imaging-image share: an image is shared whole and proven, or not at all."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError, InfrastructureError
from imaging.frisbee.errors import ImageError
from imaging.images.library import ImageLibrary
from imaging.images.partial import open_partial, partial_path
from imaging.images.sharing import plan_share
from imaging.images.sidecar import read_sidecar
from tests import ndz_samples
from tests.commands import user_environment, wait_for
from tests.library_samples import (
    OLD_NAME,
    curate,
    refused,
    snapshot,
    write_curated_site,
    write_image,
    write_saved,
)
from tests.messages.recorder import overheard
from tests.ndz_rules import make_chunk


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Shared images with an alias, and private ones."""
    return write_curated_site(tmp_path)


def test_share(site: Path) -> None:
    assert curate(site, "share", "mine", "--yes")[0] == 0
    shared = site / "images/mine.ndz"
    assert shared.read_bytes() == (site / "private/mine.ndz").read_bytes()
    assert read_sidecar(shared) == read_sidecar(site / "private/mine.ndz")
    assert "exists already" in refused(site, "share", "mine")
    assert curate(site, "share", "mine", "--as", "other.ndz", "--move", "--yes")[0] == 0
    sidecar = read_sidecar(site / "images/other.ndz")
    assert sidecar is not None
    assert (sidecar.name, sidecar.comment) == ("other", "my own")
    assert not list((site / "private").glob("mine*"))
    assert not list((site / "images").glob(".*"))


def test_share_what_has_no_sidecar(site: Path) -> None:
    assert curate(site, "share", "ubuntu", "--yes")[0] == 0
    sidecar = read_sidecar(site / "images/ubuntu.ndz")
    assert sidecar is not None
    assert (sidecar.name, sidecar.sha256, sidecar.user) == ("ubuntu", ndz_samples.V3.sha256, None)
    assert sidecar.date.month == 2
    write_image(site / "test.ndz", ndz_samples.RAW)
    assert curate(site, "share", "./test.ndz", "--yes")[0] == 0
    assert (site / "images/test.ndz").read_bytes() == ndz_samples.RAW.read()


def test_share_replaces_only_when_forced(site: Path) -> None:
    images = site / "images"
    assert "--force replaces it" in refused(site, "share", "mine", "--as", "debian")
    assert curate(site, "share", "mine", "--as", "debian", "--force", "--yes")[0] == 0
    assert (images / "debian.ndz").read_bytes() == ndz_samples.DOS_EXT4.read()
    assert json.loads((images / "debian.json").read_text())["comment"] == "my own"
    assert "alias of fedora-40.ndz" in refused(site, "share", "mine", "--as", "fedora")
    assert curate(site, "share", "mine", "--as", "fedora", "--force", "--yes")[0] == 0
    assert not (images / "fedora.ndz").is_symlink()
    assert (images / "fedora-40.ndz").read_bytes() == ndz_samples.V3.read()


def spoil(site: Path, how: str) -> None:
    mine = site / "private/mine.ndz"
    if how == "cut":
        mine.write_bytes(ndz_samples.truncated())
    elif how == "short":
        mine.write_bytes(ndz_samples.DOS_EXT4.chunks[0])
    elif how == "long":
        write_saved(mine, ndz_samples.RAW, size=1 << 19)
    elif how == "malformed":
        (site / "private/mine.json").write_text("{")
    elif how == "gone":
        mine.unlink()
    elif how == "folder":
        (site / "images/mine.ndz").mkdir()
    elif how == "aliased":
        (site / "private/me.ndz").symlink_to("mine.ndz")


@pytest.mark.parametrize(
    ("how", "words", "said"),
    [
        ("", ["suse"], "no image 'suse'"),
        ("", ["debian"], "no image 'debian'"),
        ("", ["./suse.ndz"], "does not exist"),
        ("", ["mine", "--as", "a b"], "cannot be the name of an image"),
        ("", ["mine", "--as", "../x"], "cannot be the name of an image"),
        ("", ["mine", "--as", "x$(touch INJ)"], "cannot be the name of an image"),
        ("", [f"private/{OLD_NAME}.ndz"], "give it a name with --as"),
        ("", ["images/debian.ndz"], "is shared already"),
        ("", ["mine", "--as", "x" * 300], "has 200 characters at most"),
        ("cut", ["mine"], "truncated"),
        ("short", ["mine"], "is cut short"),
        ("long", ["mine"], "speaks of 524288 bytes"),
        ("malformed", ["mine"], "is no sidecar of an image"),
        ("gone", ["mine"], "no image 'mine'"),
        ("folder", ["mine", "--force"], "is not a regular file"),
        ("aliased", ["mine", "--move"], "mine.ndz is what me leads to"),
    ],
    ids=str,
)
def test_what_is_not_shared(site: Path, how: str, words: list[str], said: str) -> None:
    spoil(site, how)
    assert said in refused(site, "share", *words)


def test_without_a_private_directory_a_path_is_needed(site: Path) -> None:
    (site / "imaging.conf").write_text("[images]\ndirectory = images\n")
    assert "there is no directory of private images" in refused(site, "share", "mine")
    assert curate(site, "share", "private/mine.ndz", "--yes")[0] == 0


@pytest.mark.parametrize("how", ["damaged", "swapped"])
@pytest.mark.parametrize("target", ["mine", "debian"])
def test_damage_found_while_it_is_copied(site: Path, how: str, target: str) -> None:
    mine = site / "private/mine.ndz"
    if how == "damaged":
        write_image(mine, ndz_samples.RAW).write_bytes(ndz_samples.corrupt())
        (site / "private/mine.json").unlink()
    else:
        write_saved(mine, ndz_samples.RAW, sha256="0" * 64)
    found = snapshot(site)
    status, _, said = curate(site, "share", "mine", "--as", target, "--force", "--yes")
    assert status == 1
    assert f"{mine} is damaged, and is not shared: " in said
    assert len(said.splitlines()) == 1
    assert snapshot(site) == found


def test_a_full_disk_leaves_nothing(site: Path) -> None:
    found = snapshot(site)
    for words in (["--as", "debian", "--force"], ["--move"]):
        limit = ("prlimit", "--fsize=1500000")
        status, _, said = curate(site, "share", "mine", *words, "--yes", before=limit)
        assert status == 1
        assert "cannot write " in said
        assert "File too large" in said
        assert len(said.splitlines()) == 1
        assert snapshot(site) == found


def test_an_image_that_will_not_fit_is_refused(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Room:
        f_bavail, f_frsize = 3, 4096

    monkeypatch.setattr(os, "statvfs", lambda _: Room)
    library = ImageLibrary(site / "images", site / "private")
    with pytest.raises(ConfigurationError, match=r"12\.0 KiB free, the image needs 2\.0 MiB"):
        plan_share(library, "mine", new_name=None, force=False, move=False)


def test_a_directory_that_is_not_there(site: Path) -> None:
    shutil.rmtree(site / "images")
    assert "images does not exist" in refused(site, "share", "mine")


def test_two_at_once(site: Path) -> None:
    with open_partial(site / "images/mine.ndz"):
        status, _, said = curate(site, "share", "mine", "--yes")
        assert status == 1
        assert "somebody is saving mine.ndz now" in said
    assert not (site / "images/mine.ndz").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing(site: Path, number: signal.Signals) -> None:
    with (site / "private/big.ndz").open("wb") as stream:
        for index in range(120):
            begin = index * 10
            stream.write(make_chunk(bytes(5120), [(begin, 10)], index=index, first=begin))
    found = snapshot(site / "images")
    process = subprocess.Popen(
        ["imaging-image", "share", "big", "--yes"],
        cwd=site,
        env=overheard(user_environment(site)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    partial = partial_path(site / "images/big.ndz")
    wait_for(lambda: partial.exists() and partial.stat().st_size > 0)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said == f"imaging-image share: interrupted by {number.name}\n"
    assert snapshot(site / "images") == found


def test_an_image_that_somebody_else_made_is_left(site: Path) -> None:
    library = ImageLibrary(site / "images", site / "private")
    plan = plan_share(library, "mine", new_name=None, force=False, move=True)
    write_image(site / "images/mine.ndz")
    found = snapshot(site)
    with pytest.raises(InfrastructureError, match="somebody else has made"):
        plan.carry_out()
    assert snapshot(site) == found


def test_an_image_that_changed_meanwhile_is_not_shared(site: Path) -> None:
    library = ImageLibrary(site / "images", site / "private")
    plan = plan_share(library, "mine", new_name=None, force=False, move=True)
    write_image(site / "private/mine.ndz", ndz_samples.RAW)
    with pytest.raises(ImageError, match=r"mine\.ndz has changed while it was copied"):
        plan.carry_out()
    assert not (site / "images/mine.ndz").exists()


def test_an_original_that_cannot_be_removed_is_told(site: Path) -> None:
    library = ImageLibrary(site / "images", site / "private")
    plan = plan_share(library, "mine", new_name=None, force=False, move=True)
    (site / "private/mine.json").unlink()
    (site / "private/mine.json").mkdir()
    with pytest.raises(InfrastructureError, match="is shared, but the original remains: cannot"):
        plan.carry_out()
    assert (site / "images/mine.ndz").exists()
