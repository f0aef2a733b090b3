"""A monitor at 50 times its pace, with all its faces, on nodes that come, go and misbehave.

``python -m tests.monitor_soak --seconds 600`` is what counts; the suite has a short one. Browsers
follow and leave, one does not read, metrics are asked for, and the sidecar's server comes and goes.
Descriptors, threads and memory must not grow once all of this has happened.
"""

import argparse
import contextlib
import http.client
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import trio
import trio_websocket

from imaging.testbed.layout import Layout
from tests.commands import BIN, Commands
from tests.soak import Condition, condition_of, simulated_testbed

PACE = 50
SETTLED = 0.3  # of the time, after which the process has all that it keeps
SPARE_DESCRIPTORS = 6  # looks that happen to be under way
GROWTH_LIMIT = 0.1  # of the memory
NOISE_KB = 2048
SAMPLE_S = 0.5
FAULTS = (
    *("cmc=hang", "cmc=refuse", "cmc=garbage", "cmc=http-500", "cmc=late:1", "ssh=refuse"),
    *("ssh=hang", "ssh=wrong-key", "ssh=closes", "ssh=garbage", "telnet=flood", "telnet=silent"),
)
VERBS = ("off", "on", "on", "reset")
_PLACE = re.compile(r"(page|metrics) at http://127\.0\.0\.1:([0-9]+)/")


@contextmanager
def hurried_testbed(directory: Path, nodes: int) -> Iterator[Commands]:
    """A testbed on whose nodes the monitor is 50 times as fast as it is by default."""
    with simulated_testbed(directory, nodes, boot_s=0.5) as testbed:
        done = testbed.run("imaging-load", "-q", "-i", "sample", "-a")
        assert done.returncode == 0, done.stderr
        config = directory / "imaging.conf"
        paced = {
            "cycle_s": 2 / PACE,
            "probe_timeout_s": 0.3,
            "login_interval_s": 300 / PACE,
            "lease_interval_s": 30 / PACE,
            "sidecar_retry_s": 1 / PACE,
            "sidecar_retry_limit_s": 60 / PACE,
            "web_clients": 8,
        }
        lines = "".join(f"{key} = {value}\n" for key, value in paced.items())
        before, _, _ = config.read_text().partition("[monitor]")
        config.write_text(f"{before}[monitor]\n{lines}")
        yield testbed


@dataclass
class MonitorSoak:
    """One monitor, and all who look at it."""

    testbed: Commands
    seed: int
    conditions: list[Condition] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    def run(self, seconds: float) -> None:
        """Soak for so long, and see that nothing has grown."""
        trio.run(self._main, seconds)

    async def _main(self, seconds: float) -> None:
        handler = trio_websocket.serve_websocket
        async with trio.open_nursery() as nursery:
            # only to have a port for the sidecar that nobody else takes
            server = await nursery.start(partial(handler, self._listen, "127.0.0.1", 0, None))
            port = server.port
            nursery.cancel_scope.cancel()
        process = self._start(port)
        try:
            assert process.stderr is not None
            places = dict(_PLACE.findall("".join(process.stderr.readline() for _ in range(2))))
            page, metrics = (f"http://127.0.0.1:{places[name]}/" for name in ("page", "metrics"))
            with trio.move_on_after(seconds):
                async with trio.open_nursery() as nursery:
                    for work in (
                        partial(self._misbehave),
                        partial(self._sidecar, port),
                        partial(self._browse, page),
                        partial(self._sleep_on, page),
                        partial(self._scrape, f"{metrics}metrics"),
                        partial(self._sample, process.pid),
                    ):
                        nursery.start_soon(work)
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
            has_ended = process.poll() is not None
            process.terminate()
            _, said = process.communicate()
            if has_ended:  # which is the cause of all else
                print(f"the monitor has ended: {said}", file=sys.stderr)
        assert (process.returncode, has_ended) == (0, False)
        self._check()

    def _start(self, port: int) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [
                *(BIN / "imaging-monitor", "-a", "--web", ":0", "--prometheus", ":0"),
                *("--sidecar", f"ws://127.0.0.1:{port}/", "--events", "changes"),
            ],
            cwd=self.testbed.directory,
            # what the C library keeps for each thread is no leak, and hides one
            env={**self.testbed.environment, "MALLOC_ARENA_MAX": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    async def _misbehave(self) -> None:
        """Nodes are switched, and get faults and lose them."""
        chance = random.Random(self.seed)
        nodes = [node.name for node in Layout(self.testbed.directory).inventory()]
        while True:
            name = chance.choice(nodes)
            kind, _, what = chance.choice(FAULTS).partition("=")
            await self._in_thread(partial(self.testbed.set_fault, name, **{kind: f"{what}*3"}))
            await self._in_thread(
                partial(self.testbed.order, chance.choice(nodes), chance.choice(VERBS))
            )
            self._count("faults and orders")
            await trio.sleep(0.2)
            if chance.random() < 0.2:
                await self._in_thread(self.testbed.clear_faults)

    @staticmethod
    async def _in_thread(work: Callable[[], object]) -> None:
        # a card that has been told to misbehave does
        with contextlib.suppress(OSError, http.client.HTTPException):
            await trio.to_thread.run_sync(work, abandon_on_cancel=True)

    async def _sidecar(self, port: int) -> None:
        """The sidecar's server comes and goes."""
        while True:
            with trio.move_on_after(1.5):
                await trio_websocket.serve_websocket(self._listen, "127.0.0.1", port, None)
            await trio.sleep(0.5)

    async def _listen(self, request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        try:
            while True:
                await connection.get_message()
                self._count("messages to the sidecar")
        except trio_websocket.ConnectionClosed:
            pass

    async def _browse(self, url: str) -> None:
        """Browsers come, follow for a while, and go."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            while True:
                assert (await client.get(url)).status_code == 200
                with trio.move_on_after(0.4):
                    async with client.stream("GET", f"{url}events") as answer:
                        async for _ in answer.aiter_raw():
                            pass
                self._count("browsers")

    async def _sleep_on(self, url: str) -> None:
        """A browser that follows and does not read, again and again."""
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        while True:
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await stream.send_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await trio.sleep(0.7)
            self._count("sleepers")

    async def _scrape(self, url: str) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            while True:
                assert (await client.get(url)).status_code == 200
                self._count("scrapes")
                await trio.sleep(0.3)

    async def _sample(self, process: int) -> None:
        while True:
            await trio.sleep(SAMPLE_S)
            self.conditions.append(condition_of(process))

    def _check(self) -> None:
        """What the process has at most must not become more."""
        begin = int(len(self.conditions) * SETTLED)
        settled = self.conditions[begin:]
        middle = len(settled) // 2
        first, last = settled[:middle], settled[middle:]
        assert first, "too short"
        assert all(self.done.values()), self.done
        assert len(self.done) == 5, self.done
        for what in ("descriptors", "threads"):
            before, after = (max(getattr(c, what) for c in part) for part in (first, last))
            assert after <= before + SPARE_DESCRIPTORS, (what, before, after)
        before, after = (min(c.memory_kb for c in part) for part in (first, last))
        assert after <= before * (1 + GROWTH_LIMIT) + NOISE_KB, ("kB", before, after)

    def lines(self) -> list[str]:
        """What has happened, in lines."""
        begin = int(len(self.conditions) * SETTLED)
        spans = [
            f"{name} {min(values)} to {max(values)}"
            for name, values in {
                "descriptors": [c.descriptors for c in self.conditions[begin:]],
                "threads": [c.threads for c in self.conditions[begin:]],
                "memory in kB": [c.memory_kb for c in self.conditions[begin:]],
            }.items()
        ]
        happened = ", ".join(f"{count} {what}" for what, count in sorted(self.done.items()))
        return [happened, f"since it has settled: {', '.join(spans)}"]


def main() -> None:
    """Soak as long as told."""
    parser = argparse.ArgumentParser(prog="python -m tests.monitor_soak", description=__doc__)
    parser.add_argument("-n", "--nodes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="imaging-soak-") as name,
        hurried_testbed(Path(name) / "bed", options.nodes) as testbed,
    ):
        soak = MonitorSoak(testbed, options.seed)
        try:
            soak.run(options.seconds)
        finally:
            print("\n".join(soak.lines()), flush=True)
    print("nothing has grown")


if __name__ == "__main__":
    main()
