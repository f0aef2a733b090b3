"""Directories of images, as sites have them: whole, cut, dangling, half saved, with old names."""

import os
from datetime import UTC, datetime
from pathlib import Path

from imaging.frisbee.image import inspect_image
from imaging.images.sidecar import Sidecar, encode_sidecar, sidecar_path
from tests import ndz_samples
from tests.commands import run_command, user_environment
from tests.ndz_samples import Sample

SAVED = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD_NAME = "saving__fit01__2026-03-01@12:00__ubuntu"
NEWER_NAME = "saving__fit02__2026-03-02@12:00__ubuntu"
NEWEST_NAME = "saving__fit03__2026-03-03@12:00__ubuntu"


def write_image(path: Path, sample: Sample = ndz_samples.V3, *, age_s: int = 0) -> Path:
    """An image without a sidecar, last written in February 2026."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(sample.read())
    moment = datetime(2026, 2, 1, tzinfo=UTC).timestamp() - age_s
    os.utime(path, (moment, moment))
    return path


def write_saved(path: Path, sample: Sample = ndz_samples.V3, **changes: object) -> Path:
    """An image with its sidecar; some of its fields may be others."""
    write_image(path, sample)
    summary = inspect_image(path, deep=True)
    fields = {
        "name": path.stem,
        "node": "fit01",
        "user": "ann",
        "date": SAVED,
        "comment": "as installed",
        "size": summary.size,
        "covered_bytes": summary.covered_bytes,
        "data_bytes": summary.data_bytes,
        "minimum_disk_size": summary.minimum_disk_size,
        "sha256": summary.sha256,
    }
    sidecar = Sidecar(**{**fields, **changes})  # type: ignore[arg-type]
    sidecar_path(path).write_bytes(encode_sidecar(sidecar))
    return path


def write_site(site: Path) -> Path:
    """Settings with two directories, and no inventory; gives the images directory."""
    images = site / "images"
    images.mkdir()
    (site / "private").mkdir()
    conf = site / "imaging.conf"
    conf.write_text("[images]\ndirectory = images\nprivate = private\n")
    conf.chmod(0o600)
    return images


def write_curated_site(site: Path) -> Path:
    """A site with shared images, one with an alias, and private ones; gives its directory."""
    images = write_site(site)
    write_saved(images / "fedora-40.ndz", ndz_samples.V3)
    write_saved(images / "debian.ndz", ndz_samples.DOS_Z1)
    (images / "fedora.ndz").symlink_to("fedora-40.ndz")
    write_saved(site / "private/mine.ndz", ndz_samples.DOS_EXT4, comment="my own")
    write_image(site / f"private/{OLD_NAME}.ndz")
    return site


def curate(site: Path, *words: str, before: tuple[str, ...] = ()) -> tuple[int, list[str], str]:
    """Run imaging-image: its status, the lines that it printed, what it said of errors."""
    done = run_command(
        *before, "imaging-image", *words, cwd=site, environment=user_environment(site)
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr


def refused(site: Path, *words: str, before: tuple[str, ...] = ()) -> str:
    """What a command says that finds something wrong from the start, and touches nothing."""
    found = snapshot(site)
    status, lines, said = curate(site, *words, "--yes", before=before)
    assert (status, lines) == (2, [])
    assert len(said.splitlines()) == 1
    assert said.rstrip("\n").isprintable()
    assert snapshot(site) == found
    return said


def snapshot(directory: Path) -> dict[str, object]:
    """All that a directory holds: names, targets of links, contents."""
    return {
        str(path.relative_to(directory)): (
            path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        )
        for path in sorted(directory.rglob("*"))
    }
