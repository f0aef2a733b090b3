"""Reading an image whole: every chunk, and the sha256 that its sidecar promises."""

from imaging.frisbee.errors import ImageError
from imaging.frisbee.image import inspect_image
from imaging.images.catalogue import Entry
from imaging.images.provenance import SidecarState, provenance, words_of


def fault_of(entry: Entry) -> str | None:
    """Why an entry of the catalogue is not an image that can be relied on; None when it is.

    Reads all its data, which takes a while. A sidecar that is missing is no fault: there is then
    only nothing to compare with.
    """
    if not entry.usable:
        return entry.problem or str(entry.kind)
    try:
        summary = inspect_image(entry.file, deep=True)
        # read now, after the data: a sidecar belongs to the image that it follows
        origin = provenance(entry.file)
    except ImageError as error:
        return words_of(error, entry.file)
    except OSError as error:
        return str(error.strerror)
    if origin.state in (SidecarState.MALFORMED, SidecarState.OTHER_SIZE):
        return origin.problem
    if origin.sidecar is not None and origin.sidecar.sha256 != summary.sha256:
        return f"its sha256 is {summary.sha256}, the sidecar says {origin.sidecar.sha256}"
    return None
