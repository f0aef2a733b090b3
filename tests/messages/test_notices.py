"""What is noticed beside the outcomes of runs."""

from pathlib import Path

from imaging.feedback.events import Event, Noticed
from imaging.frisbee.image import inspect_image
from imaging.images.library import Image
from imaging.operations.load import _hash_image
from tests import ndz_samples
from tests.messages.recorder import heard


async def test_an_image_that_cannot_be_hashed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sample.ndz"
    path.write_bytes(ndz_samples.V3.read())
    image = Image("sample", path, inspect_image(path))
    path.unlink()
    events: list[Event] = []
    await _hash_image(image, events.append)
    (notice,) = events
    assert isinstance(notice, Noticed)
    assert notice.message == "the image's sha256 is not known: No such file or directory"
    heard(notice.message)
