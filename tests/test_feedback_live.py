"""The full-screen display's reading of transcripts."""

import os
import pty
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from imaging.feedback.board import Board
from imaging.feedback.display import live as module
from imaging.feedback.display.live import LiveDisplay
from imaging.feedback.events import RunStarted
from imaging.feedback.records.transcripts import transcript_path

LIMIT_S = 5.0


class Shown:
    """A display on a pseudo-terminal, whose keys can be pressed."""

    def __init__(self, board: Board) -> None:
        self._master, self._slave = pty.openpty()
        self._stream = os.fdopen(self._slave, "r+b", buffering=0)
        text = os.fdopen(os.dup(self._slave), "w", encoding="utf-8")
        self.display = LiveDisplay(board, text, text)
        self._text = text
        self.written = b""
        os.set_blocking(self._master, False)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def see(self, words: str, times: int = 1) -> None:
        """Wait until it has been written so often."""
        with trio.fail_after(LIMIT_S):
            while self.written.count(words.encode()) < times:
                try:
                    self.written += os.read(self._master, 65536)
                except BlockingIOError:
                    await trio.sleep(0.01)

    def close(self) -> None:
        self._text.close()
        self._stream.close()
        os.close(self._master)


def board_of(directory: Path, *nodes: str) -> Board:
    board = Board()
    board.fold(RunStarted(time.time(), "r", "a-run", nodes, "do", 60, transcripts=str(directory)))
    return board


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    monkeypatch.setenv("TERM", "xterm")
    made = Shown(board_of(tmp_path, "server", "fit02"))
    yield made
    made.close()


async def test_the_transcript_is_that_of_the_node(shown: Shown, tmp_path: Path) -> None:
    transcript_path(tmp_path, None).write_text("said by the frisbee server\n")
    transcript_path(tmp_path, "server").write_text("said by the node\n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shown.display.run)
        await shown.see("timeout in")
        shown.press("\r")
        await shown.see("said by the node")
        nursery.cancel_scope.cancel()
    assert b"said by the frisbee" not in shown.written


async def test_a_disk_that_hangs_does_not_hold_the_drawing(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []

    def hang(file: Path) -> None:
        started.append(file)
        time.sleep(1.5)

    monkeypatch.setattr(module, "tail_of", hang)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shown.display.run)
        await shown.see("timeout in")
        shown.press("\r")
        with trio.fail_after(1.0):
            await shown.see("esc back")
            shown.press("\x1b")
            await shown.see("q interrupt  f failures", times=2)
        nursery.cancel_scope.cancel()
    assert len(started) == 1, "no second thread is given to it"
