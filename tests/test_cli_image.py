"""imaging-image, as its users run it: it says what it would do, and does it after --yes."""

import os
import shutil
from pathlib import Path

import pytest

from imaging.errors import InfrastructureError
from imaging.images.curation import plan_alias, plan_removal
from imaging.images.library import ImageLibrary
from imaging.images.partial import open_partial, partial_path
from tests import ndz_samples
from tests.commands import run_command, user_environment
from tests.library_samples import (
    OLD_NAME,
    curate,
    refused,
    snapshot,
    write_curated_site,
    write_image,
    write_saved,
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Shared images with an alias, and private ones."""
    return write_curated_site(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ["share", "mine"],
        ["share", "mine", "--as", "fedora", "--force", "--move"],
        ["alias", "new", "debian"],
        ["alias", "fedora", "debian", "--force"],
        ["rm", "debian"],
        ["rm", "fedora"],
    ],
    ids=str,
)
def test_without_yes_nothing_is_touched(site: Path, words: list[str]) -> None:
    found = snapshot(site)
    status, lines, said = curate(site, *words)
    assert (status, said) == (0, "")
    assert lines[-1] == "nothing was done; --yes does it"
    assert all(line.startswith("would ") for line in lines[:-1])
    assert snapshot(site) == found
    status, done, said = curate(site, *words, "--yes")
    assert (status, said) == (0, "")
    assert [f"would {line}" for line in done[:-1]] == lines[:-1]
    assert snapshot(site) != found


def weak() -> tuple[str, ...]:
    """What makes file modes apply to a command, even for root."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("root may write everything, and there is no setpriv(1)")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.parametrize(
    "words", [["share", "mine"], ["alias", "new", "debian"], ["rm", "debian"]], ids=str
)
def test_a_directory_that_may_not_be_written(site: Path, words: list[str]) -> None:
    (site / "images").chmod(0o555)
    assert f"no permission to write in {site / 'images'}" in refused(site, *words, before=weak())
    (site / "images").chmod(0o755)


def test_alias(site: Path) -> None:
    images = site / "images"
    assert curate(site, "alias", "stable", "debian", "--yes")[0] == 0
    assert os.readlink(images / "stable.ndz") == "debian.ndz"
    assert curate(site, "alias", "stable", "debian", "--yes")[1] == [
        "nothing to do: it is so already"
    ]
    assert "--force moves it" in refused(site, "alias", "stable", "fedora-40")
    assert curate(site, "alias", "stable", "fedora-40", "--force", "--yes")[0] == 0
    assert os.readlink(images / "stable.ndz") == "fedora-40.ndz"
    assert curate(site, "alias", "newest", "fedora", "--yes")[0] == 0
    assert os.readlink(images / "newest.ndz") == "fedora.ndz"
    assert curate(site, "alias", "path", "images/debian.ndz", "--yes")[0] == 0
    assert os.readlink(images / "path.ndz") == "debian.ndz"
    write_image(images / f"{OLD_NAME}.ndz")
    (site / f"private/{OLD_NAME}.ndz").unlink()
    assert curate(site, "alias", "ubuntu", "ubuntu", "--yes")[0] == 0
    assert os.readlink(images / "ubuntu.ndz") == f"{OLD_NAME}.ndz"
    assert not list(images.glob(".*"))


def test_a_dangling_alias_can_be_moved(site: Path) -> None:
    link = site / "images/gone.ndz"
    link.symlink_to("nowhere.ndz")
    assert "an alias of nowhere.ndz already" in refused(site, "alias", "gone", "debian")
    assert curate(site, "alias", "gone", "debian", "--force", "--yes")[0] == 0
    assert os.readlink(link) == "debian.ndz"


@pytest.mark.parametrize(
    ("alias", "target", "said"),
    [
        ("fedora-40", "debian", "is an image and no alias"),
        ("fedora", "fedora", "would be an alias of itself"),
        ("fedora-40", "fedora-40", "would be an alias of itself"),
        ("fedora-40", "fedora", "would be an alias of itself"),
        ("new", "suse", "no image 'suse'"),
        ("new", "cut", "truncated"),
        ("new", "mine", "share it first"),
        ("new", "ubuntu", "share it first"),
        ("new", "private/mine.ndz", "share it first"),
        ("a b", "debian", "cannot be the name of an image"),
        ("../x", "debian", "cannot be the name of an image"),
        ("new", "$(id)", "cannot be the name of an image"),
        ("x" * 300, "debian", "has 200 characters at most"),
    ],
)
def test_what_gets_no_alias(site: Path, alias: str, target: str, said: str) -> None:
    (site / "images/cut.ndz").write_bytes(ndz_samples.truncated())
    assert said in refused(site, "alias", alias, target, "--force")


def test_an_alias_that_somebody_else_moved_is_left(site: Path) -> None:
    library = ImageLibrary(site / "images", site / "private")
    plan = plan_alias(library, "fedora", "debian", force=True)
    (site / "images/fedora.ndz").unlink()
    (site / "images/fedora.ndz").symlink_to("other.ndz")
    with pytest.raises(InfrastructureError, match="somebody else has moved"):
        plan.carry_out()
    (site / "images/fedora.ndz").unlink()
    write_image(site / "images/fedora.ndz")
    found = snapshot(site)
    with pytest.raises(InfrastructureError, match="cannot make the alias"):
        plan.carry_out()
    fresh = plan_alias(library, "fresh", "debian", force=True)
    write_image(site / "images/fresh.ndz").write_bytes(b"precious")
    with pytest.raises(InfrastructureError, match="File exists"):
        fresh.carry_out()
    (site / "images/fresh.ndz").unlink()
    assert snapshot(site) == found


def test_rm(site: Path) -> None:
    images = site / "images"
    assert curate(site, "rm", "debian.ndz", "--yes")[1] == [
        f"remove the image {images / 'debian.ndz'}",
        f"remove its sidecar {images / 'debian.json'}",
        "done",
    ]
    assert not list(images.glob("debian*"))
    said = refused(site, "rm", "fedora-40")
    assert "fedora-40.ndz is what fedora leads to" in said
    assert curate(site, "rm", "fedora", "--yes")[0] == 0
    assert (images / "fedora-40.ndz").is_file()
    assert curate(site, "rm", "fedora-40", "--yes")[0] == 0
    assert list(images.iterdir()) == []
    assert curate(site, "rm", "mine", "--yes")[0] == 0
    assert curate(site, "rm", f"private/{OLD_NAME}.ndz", "--yes")[0] == 0
    assert list((site / "private").iterdir()) == []


def test_rm_sees_all_aliases(site: Path) -> None:
    images = site / "images"
    (images / "latest.ndz").symlink_to(images / "fedora.ndz")
    (site / "private/theirs.ndz").symlink_to("../images/debian.ndz")
    assert "what fedora, latest leads to" in refused(site, "rm", "fedora-40")
    assert "what latest leads to" in refused(site, "rm", "fedora")
    assert "what theirs leads to" in refused(site, "rm", "debian")


def test_rm_of_what_is_no_image(site: Path) -> None:
    images = site / "images"
    (images / "cut.ndz").write_bytes(ndz_samples.truncated())
    (images / "gone.ndz").symlink_to("nowhere")
    (images / "loop.ndz").symlink_to("pool.ndz")
    (images / "pool.ndz").symlink_to("loop.ndz")
    (images / ".dead.ndz.partial").write_bytes(b"123")
    for name in ("cut", "gone", "loop", "pool", "dead"):
        assert curate(site, "rm", name, "--yes")[0] == 0
    assert {path.name for path in images.iterdir()} == {
        "debian.json",
        "debian.ndz",
        "fedora-40.json",
        "fedora-40.ndz",
        "fedora.ndz",
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("suse", "no image 'suse'"),
        ("ubuntu", "no image 'ubuntu'"),
        ("folder", "is a directory"),
        ("twice", "give the path"),
        ("live", "live is being saved now"),
        ("../x.ndz", "is not an image of the library"),
        ("images/debian.json", "is not an image of the library"),
        ("images/suse.ndz", "it does not exist"),
        ("*", "cannot be the name of an image"),
        ("", "cannot be the name of an image"),
    ],
)
def test_what_is_not_removed(site: Path, name: str, said: str) -> None:
    (site / "images/folder.ndz").mkdir()
    write_image(site / "images/twice.ndz")
    write_image(site / "private/twice.ndz")
    with open_partial(site / "images/live.ndz"):
        assert said in refused(site, "rm", name)


def test_rm_tells_two_images_of_one_name_apart(site: Path) -> None:
    write_saved(site / "images/mine.ndz")
    assert curate(site, "rm", "private/mine.ndz", "--yes")[0] == 0
    assert (site / "images/mine.ndz").exists()
    assert not (site / "private/mine.ndz").exists()


@pytest.mark.parametrize("words", [[], ["share"], ["alias"], ["rm"]], ids=str)
def test_help_has_two_examples(site: Path, words: list[str]) -> None:
    status, lines, _ = curate(site, *words, "--help")
    assert status == 0
    examples = lines[lines.index("  Examples:") + 1 :]
    assert [line.startswith("    imaging-image ") for line in examples[:3]] == [True, True, False]


def test_the_umbrella_has_both(site: Path) -> None:
    for words in (["image", "rm", "debian"], ["list", "debian"]):
        done = run_command("imaging", *words, cwd=site, environment=user_environment(site))
        assert (done.returncode, done.stderr) == (0, "")
        assert "debian" in done.stdout


@pytest.mark.parametrize(
    "words", [["share", "-x"], ["alias", "new"], ["rm"], ["eat", "x"]], ids=str
)
def test_usage_errors(site: Path, words: list[str]) -> None:
    status, lines, said = curate(site, *words)
    assert (status, lines) == (2, [])
    assert "Usage: imaging-image" in said


def test_what_cannot_be_removed_is_told(site: Path) -> None:
    library = ImageLibrary(site / "images", site / "private")
    plan = plan_removal(library, "mine")
    (site / "private/mine.json").unlink()
    (site / "private/mine.json").mkdir()
    with pytest.raises(InfrastructureError, match=r"cannot remove .*mine\.json: Is a directory"):
        plan.carry_out()
    partial_path(site / "images/left.ndz").write_bytes(b"half")
    leftover = plan_removal(library, "left")
    partial_path(site / "images/left.ndz").unlink()
    partial_path(site / "images/left.ndz").mkdir()
    with pytest.raises(InfrastructureError, match=r"cannot remove .*left\.ndz\.partial: "):
        leftover.carry_out()


def test_a_name_too_long_for_the_file_system_is_told(site: Path) -> None:
    assert "File name too long" in refused(site, "rm", f"images/{'x' * 300}.ndz")
