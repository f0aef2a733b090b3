"""What is known of an image, beside it: written whole, read with suspicion."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.errors import ImageError
from imaging.images.sidecar import Sidecar, encode_sidecar, read_sidecar, sidecar_path

COUNTS = st.integers(0, 2**53)
SIDECARS = st.builds(
    Sidecar,
    name=st.text(),
    node=st.none() | st.text(),
    user=st.none() | st.text(),
    date=st.datetimes(timezones=st.just(UTC)),
    comment=st.text(),
    parent=st.none() | st.text(),
    size=COUNTS,
    covered_bytes=COUNTS,
    data_bytes=COUNTS,
    minimum_disk_size=COUNTS,
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
)
PLAIN = Sidecar(
    name="fedora",
    date=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    size=1,
    covered_bytes=2,
    data_bytes=3,
    minimum_disk_size=4,
    sha256="ab" * 32,
)


def write_sidecar(image: Path, sidecar: Sidecar) -> None:
    sidecar_path(image).write_bytes(encode_sidecar(sidecar))


@given(SIDECARS)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, told: Sidecar) -> None:
    image = tmp_path_factory.mktemp("images") / "fedora-2.1.ndz"
    write_sidecar(image, told)
    assert read_sidecar(image) == told
    assert [entry.name for entry in image.parent.iterdir()] == ["fedora-2.1.json"]


def test_none_is_none(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path / "fedora.ndz") is None


@given(st.binary(max_size=300))
def test_anything_else_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    image = tmp_path_factory.mktemp("images") / "fedora.ndz"
    sidecar_path(image).write_bytes(data)
    with pytest.raises(ImageError, match=r"fedora\.json: is no sidecar"):
        read_sidecar(image)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("size", -1, "size"),
        ("sha256", "AB" * 32, "sha256"),
        ("date", "2026-01-02T03:04:05", "date"),
        ("name", None, "name"),
        ("format_version", 2, "format version 2, which is unknown"),
        ("comment", "x" * 70_000, "is larger than"),
    ],
)
def test_each_field_is_checked(tmp_path: Path, key: str, value: object, words: str) -> None:
    image = tmp_path / "fedora.ndz"
    write_sidecar(image, PLAIN)
    told = json.loads(sidecar_path(image).read_text())
    sidecar_path(image).write_text(json.dumps({**told, key: value}))
    with pytest.raises(ImageError, match=words):
        read_sidecar(image)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    image = tmp_path / "fedora.ndz"
    os.mkfifo(sidecar_path(image))
    with pytest.raises(ImageError, match="is no sidecar"):
        read_sidecar(image)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "fedora.json").mkdir()
    with pytest.raises(ImageError, match=r"fedora\.json: Is a directory"):
        read_sidecar(tmp_path / "fedora.ndz")
