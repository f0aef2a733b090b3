"""Expand the chunks of an image ahead, in threads; what comes out stays in its order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from imaging.frisbee.errors import FrisbeeError
from imaging.frisbee.ndz import ChunkHeader, Piece, expand, parse_header
from imaging.frisbee.resources import keep_freed_memory, worker_threads

MAX_THREADS = 4
"""More do not help: one thread writes."""

CHUNKS_AHEAD = 2
"""Chunks that are expanded beyond one for each thread."""

MAX_EXPANDED = 1 << 24
"""A chunk with more data than this, in bytes, is expanded only while it is written: a chunk of
zeros holds a gigabyte, and takes no time."""


def expand_ahead(
    chunks: Iterable[bytes], check: Callable[[bytes], ChunkHeader], threads: int | None = None
) -> Generator[tuple[ChunkHeader, Iterable[Piece]], None, None]:
    """Give each chunk's header and data.

    An error is raised in its place: when all chunks before it have been given.

    Args:
        chunks: to be expanded, of 1 MiB each.
        check: parses the header of a chunk, and says whether it continues the image; called for
            one chunk after the other, as they are given.
        threads: that expand; by default one for each core.

    Raises:
        ImageError: what `check` or the expansion finds, here or while data are taken.
    """
    count = threads or worker_threads(MAX_THREADS)
    keep_freed_memory()
    pool = ThreadPoolExecutor(count, "imageunzip")
    ahead: deque[tuple[bytes, Future[list[Piece] | None]]] = deque()
    source = iter(chunks)
    failure: FrisbeeError | None = None
    more = True
    try:
        while True:
            while more and len(ahead) < count + CHUNKS_AHEAD:
                try:
                    read = next(source, None)
                except FrisbeeError as error:
                    read, failure = None, error
                if read is None:
                    more = False
                else:
                    ahead.append((read, pool.submit(_expand, read)))
            if not ahead:
                break
            chunk, future = ahead.popleft()
            header = check(chunk)
            pieces = future.result()
            yield header, expand(chunk, header) if pieces is None else pieces
    finally:
        pool.shutdown(cancel_futures=True)
    if failure is not None:
        raise failure


def _expand(chunk: bytes) -> list[Piece] | None:
    """The data of a chunk, or nothing if that would be too much memory."""
    header = parse_header(chunk)
    if header.data_bytes > MAX_EXPANDED:
        return None
    return list(expand(chunk, header))
