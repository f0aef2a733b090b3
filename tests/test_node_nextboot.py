"""Nextboot links: made and removed, and nobody else's file is ever touched."""

import os
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError, NodeError, Reason
from imaging.node.nextboot import NextbootDirectory, Occupant

MAC = "02:00:00:00:00:0A"
PLACE = "01-02-00-00-00-00-0a"


@pytest.fixture
def links(tmp_path: Path) -> NextbootDirectory:
    (tmp_path / "pxefrisbee").write_text("DEFAULT ramdisk\n")
    return NextbootDirectory(tmp_path, "pxefrisbee")


def test_a_link_lasts_as_long_as_its_block(links: NextbootDirectory) -> None:
    place = links.directory / PLACE
    with links.link(MAC, "fit10"):
        assert os.readlink(place) == "pxefrisbee"
        assert links.occupant(MAC)[0] is Occupant.OURS
    assert not os.path.lexists(place)


def test_an_error_in_the_block_removes_the_link(links: NextbootDirectory) -> None:
    with pytest.raises(ZeroDivisionError), links.link(MAC, "fit10"):
        raise ZeroDivisionError
    assert not os.path.lexists(links.directory / PLACE)


def test_a_link_that_is_there_already_serves(links: NextbootDirectory) -> None:
    (links.directory / PLACE).symlink_to(links.directory / "pxefrisbee")
    with links.link(MAC, "fit10"):
        assert links.occupant(MAC)[0] is Occupant.OURS
    assert not os.path.lexists(links.directory / PLACE)


@pytest.mark.parametrize("kind", ["file", "directory", "link", "dangling"])
def test_what_somebody_else_made_is_refused_and_left_alone(
    links: NextbootDirectory, kind: str
) -> None:
    place = links.directory / PLACE
    match kind:
        case "file":
            place.write_text("somebody's")
        case "directory":
            place.mkdir()
        case "link":
            (links.directory / "other").write_text("other")
            place.symlink_to("other")
        case "dangling":
            place.symlink_to("nowhere")
    before = place.lstat()
    with pytest.raises(ConfigurationError, match=PLACE):
        links.refuse_foreign(MAC, "fit10")
    with pytest.raises(NodeError, match=PLACE) as caught, links.link(MAC, "fit10"):
        pytest.fail("the block must not be entered")
    assert caught.value.reason is Reason.NEXTBOOT_FAILED
    links.remove(MAC, "fit10")
    assert place.lstat() == before


def test_a_link_replaced_by_somebody_meanwhile_is_left_alone(links: NextbootDirectory) -> None:
    place = links.directory / PLACE
    with links.link(MAC, "fit10"):
        place.unlink()
        place.write_text("somebody's")
    assert place.read_text() == "somebody's"


def test_a_link_removed_by_somebody_meanwhile_is_no_error(links: NextbootDirectory) -> None:
    with links.link(MAC, "fit10"):
        (links.directory / PLACE).unlink()
    assert links.occupant(MAC)[0] is Occupant.NOBODY


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        NextbootDirectory(tmp_path / "nowhere", "pxefrisbee").check()


@pytest.mark.parametrize("dangling", [False, True])
def test_links_must_lead_somewhere(tmp_path: Path, dangling: bool) -> None:
    if dangling:
        (tmp_path / "pxefrisbee").symlink_to("nowhere")
    with pytest.raises(ConfigurationError, match="lead nowhere"):
        NextbootDirectory(tmp_path, "pxefrisbee").check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_refused(links: NextbootDirectory) -> None:
    links.directory.chmod(0o555)
    with pytest.raises(ConfigurationError, match="permission"):
        links.check()


def test_a_directory_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be read: Not a directory"):
        NextbootDirectory(tmp_path / "file", "pxefrisbee").entries()
    with pytest.raises(ConfigurationError, match="does not exist"):
        NextbootDirectory(tmp_path / "nowhere", "pxefrisbee").entries()
    with pytest.raises(NodeError, match=r"fit10: cannot make the nextboot link .*No such file"):
        NextbootDirectory(tmp_path / "nowhere", "pxefrisbee").create(MAC, "fit10")
