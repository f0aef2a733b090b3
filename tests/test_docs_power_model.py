"""Both power models of the page work, against a real server that behaves as its plug."""

import json
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from imaging.errors import NodeError, Reason
from imaging.node.power import PowerState
from imaging.node.power.asking import Asking
from tests.documented_commands import ROOT, blocks
from tests.power_cards import quick_settings
from tests.site_directory import SiteDirectory, inventory_rows

SCRIPT, MODEL = (
    block.text
    for block in blocks((ROOT / "docs/how-to/power-model.md").read_text())
    if block.kind == "python"
)
(SETTINGS,) = (
    block.text
    for block in blocks((ROOT / "docs/how-to/power-model.md").read_text())
    if block.kind == "ini"
)


@dataclass
class Plug:
    """A plug; ``answer`` is what it says instead of the truth."""

    on: bool = True
    turns: list[str] = field(default_factory=list)
    status: int = 200
    answer: str | None = None
    port: int = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where it answers."""
        return "127.0.0.1", self.port

    @property
    def place(self) -> str:
        """The same in one word."""
        return f"127.0.0.1:{self.port}"

    def turn(self, path: str) -> bytes:
        """Obey a request; gives the answer."""
        for order in ("on", "off"):
            if path == f"/relay/0?turn={order}":
                self.turns.append(order)
                self.on = order == "on"
        return (self.answer or json.dumps({"ison": self.on})).encode()


@contextmanager
def plugged() -> Iterator[Plug]:
    plug = Plug()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = plug.turn(self.path)
            self.send_response(plug.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        plug.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield plug
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def plug() -> Iterator[Plug]:
    with plugged() as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, plug: Plug) -> SiteDirectory:
    """A site of one node, whose plug the page's own settings speak to."""
    script = tmp_path / "plug"
    text = SCRIPT.replace("/usr/bin/env python3", sys.executable, 1)
    script.write_text(text.replace("OFF_S = 2.0", "OFF_S = 0.01", 1))
    script.chmod(stat.S_IRWXU)
    made = SiteDirectory(tmp_path)
    made.write_inventory(inventory_rows(1))
    named = SETTINGS.replace("/usr/local/sbin/plug", str(script)).replace("{ip}", plug.place)
    made.add_settings(named)
    return made


def test_the_script_does_what_the_commands_ask(site: SiteDirectory, plug: Plug) -> None:
    assert site.run("imaging-status", "1").stdout == "fit01: on\n"
    assert site.run("imaging-off", "1").returncode == 0
    assert site.run("imaging-status", "1").stdout == "fit01: off\n"
    assert site.run("imaging-on", "1").returncode == 0
    assert site.run("imaging-reset", "1").returncode == 0
    assert plug.turns == ["off", "on", "off", "on"]


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (500, None, "the plug answers HTTP 500"),
        (200, "<html>", "the plug answers nonsense"),
        (200, "[]", "the plug answers nonsense"),
    ],
)
def test_the_script_tells_what_is_refused(
    site: SiteDirectory, plug: Plug, status: int, answer: str | None, words: str
) -> None:
    plug.status, plug.answer = status, answer
    done = site.run("imaging-status", "1")
    assert done.returncode == 1
    assert "(power-refused: " in done.stdout
    assert words in done.stdout


def test_the_script_tells_what_does_not_answer(site: SiteDirectory, plug: Plug) -> None:
    text = site.conf.read_text()
    site.conf.write_text(text.replace(plug.place, "127.0.0.1:1"))
    done = site.run("imaging-status", "1")
    assert done.returncode == 1
    assert "(no-cmc: " in done.stdout


@pytest.fixture
def card_class() -> Iterator[Callable[..., Any]]:
    """The page's class, from a module as the package would have it."""
    module = ModuleType("imaging.node.power.plug")
    sys.modules[module.__name__] = module  # dataclasses and msgspec look for it there
    exec(compile(MODEL, "power-model.md", "exec"), module.__dict__)
    yield module.PlugCard
    del sys.modules[module.__name__]


def asking() -> Asking:
    return Asking.of("fit01", "its plug", quick_settings().power)


async def test_the_model_has_all_verbs(plug: Plug, card_class: Callable[..., Any]) -> None:
    card = card_class(*plug.address, asking(), off_s=0.001)
    assert await card.status() is PowerState.ON
    await card.turn_off()
    assert await card.status() is PowerState.OFF
    await card.turn_on()
    await card.reset()
    assert plug.turns == ["off", "on", "off", "on"]
    assert plug.place in await card.info()
    with pytest.raises(NodeError, match="knows no such thing"):
        await card.shut_down()


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (500, None, Reason.POWER_REFUSED),
        (200, "<html>", Reason.POWER_REFUSED),
        (200, '{"ison": "maybe"}', Reason.POWER_REFUSED),
    ],
)
async def test_the_model_tells_what_is_refused(
    plug: Plug,
    card_class: Callable[..., Any],
    status: int,
    answer: str | None,
    reason: Reason,
) -> None:
    plug.status, plug.answer = status, answer
    with pytest.raises(NodeError) as caught:
        await card_class(*plug.address, asking()).status()
    assert caught.value.reason is reason


async def test_the_model_tells_what_does_not_answer(card_class: Callable[..., Any]) -> None:
    with pytest.raises(NodeError) as caught:
        await card_class("127.0.0.1", 1, asking()).status()
    assert caught.value.reason is Reason.NO_CMC
