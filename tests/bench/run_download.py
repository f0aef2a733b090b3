"""A Download that takes whole runs of blocks, without their content.

A thousand clients take some 10^8 blocks in a simulation: one call and 1 KiB of memory for each
would be too slow and too large. What is asked for, and when, is still decided by Download itself;
tests/test_bench_run_download.py proves that a run and its single blocks come to the same.
"""

from imaging.frisbee.download import Download, _Chunk


class _Outline(_Chunk):
    """A chunk of which only is known which blocks are missing."""

    __slots__ = ("lacks", "last")

    def __init__(self, blocks: int) -> None:
        self.data = bytearray()
        self.lacks = (1 << blocks) - 1
        self.last = 1 << (blocks - 1)

    def missing(self) -> int:
        return self.lacks


class RunDownload(Download):
    """The state of one simulated client."""

    def take(self, chunk: int, bitmap: int, now: float) -> int:
        """Take blocks of one chunk at once; gives those that were missing and are wanted."""
        self._heard_at = now
        if chunk != self._server_at:
            self._server_moves(chunk, now)
        state = self._started.get(chunk)
        if state is None:
            if self._complete[chunk]:
                self.counters.duplicates_done += bitmap.bit_count()
                return 0
            if len(self._started) + self._held >= self._buffers:
                self.counters.no_buffer += bitmap.bit_count()
                return 0
            state = self._started[chunk] = _Outline(self.blocks_of(chunk))
        assert isinstance(state, _Outline)
        new = state.lacks & bitmap
        self.counters.duplicates_in_progress += (bitmap ^ new).bit_count()
        if new:
            state.lacks ^= new
            self.useful_at = self._asked_at = now
            self._idle = self._pace.idle_s
            if not state.lacks:
                self._finish(chunk)
            elif new & state.last:
                self._gaps[chunk] = now + self._pace.gap_s
        return new
