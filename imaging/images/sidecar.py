"""The sidecar of an image: ``NAME.json`` beside ``NAME.ndz`` says where the image comes from.

It is worth something only as long as it speaks of the file beside it: ``size`` tells at once when
it does not, and ``sha256`` for certain.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from imaging.frisbee.errors import ImageError

FORMAT_VERSION = 1
SIZE_LIMIT = 64 * 1024  # bytes
SUFFIX = ".ndz"
CURE = "an image is fine without it: remove it"

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Sidecar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What is known of an image besides its content; sizes are in bytes.

    ``covered_bytes`` of disk are spoken for, ``data_bytes`` of them hold data, and a disk must
    have ``minimum_disk_size``. ``date`` is in UTC. ``parent`` is the image that was on the node.
    """

    format_version: Annotated[int, Meta(ge=1)] = FORMAT_VERSION
    name: str
    node: str | None = None
    user: str | None = None
    date: Annotated[datetime, Meta(tz=True)]
    comment: str = ""
    parent: str | None = None
    size: Count
    covered_bytes: Count
    data_bytes: Count
    minimum_disk_size: Count
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


def sidecar_path(image: Path) -> Path:
    """Where the sidecar of an image is."""
    return image.with_name(f"{image.name.removesuffix(SUFFIX)}.json")


def read_sidecar(image: Path) -> Sidecar | None:
    """The sidecar of an image; None when it has none.

    Raises:
        ImageError: there is one, but it cannot be read, or is none that this version understands.
    """
    path = sidecar_path(image)
    try:
        # O_NONBLOCK: a named pipe would wait for its writer
        with open(path, "rb", opener=lambda p, f: os.open(p, f | os.O_NONBLOCK)) as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}", hint=CURE) from error
    if len(data) > SIZE_LIMIT:
        raise ImageError(f"{path}: is larger than {SIZE_LIMIT} bytes", hint=CURE)
    try:
        sidecar = msgspec.json.decode(data, type=Sidecar)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ImageError(f"{path}: is no sidecar of an image: {error}", hint=CURE) from error
    if sidecar.format_version > FORMAT_VERSION:
        raise ImageError(
            f"{path}: has format version {sidecar.format_version}, which is unknown", hint=CURE
        )
    return sidecar


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """The text of a sidecar. Raises UnicodeEncodeError for what is no text."""
    return msgspec.json.format(msgspec.json.encode(sidecar), indent=2) + b"\n"
