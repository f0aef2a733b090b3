"""The lease service of a virtual testbed: the REST interface of R2lab's, and its accidents."""

import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import h11
import trio

from imaging.testbed.fault_file import FaultFile
from imaging.testbed.faults import SITE, Fault
from imaging.testbed.http_exchange import encoded_answer, receive_body, receive_request
from imaging.testbed.lease_book import ADMIN, LeaseBook, RefusedError, whole_number
from imaging.testbed.misbehaviour import READ_SIZE, flood, noise, reset_at_close, say_nothing
from imaging.testbed.peers import is_welcome

log = logging.getLogger(__name__)

PATIENCE_S = 10.0  # a client that sends no whole request is dropped
DOMAIN, PASSWORD = "@testbed", "testbed"  # of all who log in
ELSEWHERE = "http://127.0.0.1:9/leases"
NO_PLACE = "http://xn--a/leases"  # what begins so is an encoded name, but this decodes to none
ACCIDENTS = (
    "hang",
    "slow",
    "http-500",
    "garbage",
    "no-json",
    "flood",
    "redirect",
    "redirect-nonsense",
)
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
PROXY_PAGE = b"<html><body><h1>Sign in to the network</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Question:
    """A request, taken apart."""

    method: str
    path: str
    asked: Mapping[str, str]
    token: str
    told: Mapping[str, object] = field(default_factory=dict)


class LeaseService:
    """Serves the leases of a book; what books must have a token."""

    def __init__(self, book: LeaseBook, faults: FaultFile, url: str, token: str) -> None:
        """``token`` is one that books for everybody; ``url`` is where this is served."""
        self._book = book
        self._faults = faults
        self._url = url
        self._users = {token: ADMIN}

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one connection, one request."""
        async with stream:
            if not is_welcome(stream, "lease service"):
                return
            if self._take("down"):
                reset_at_close(stream)
                return
            try:
                connection = h11.Connection(h11.SERVER)
                question = None
                with trio.move_on_after(PATIENCE_S):
                    question = await self._receive(stream, connection)
                if question is not None:
                    await self._answer(stream, connection, question)
            except* (trio.BrokenResourceError, h11.RemoteProtocolError) as group:
                log.info("lease service: %s", group.exceptions[0])

    def _take(self, *words: str) -> Fault | None:
        return self._faults.take(SITE, "leases", *words)

    async def _receive(
        self, stream: trio.SocketStream, connection: h11.Connection
    ) -> Question | None:
        request = await receive_request(stream, connection)
        body = await receive_body(stream, connection) if request is not None else None
        if request is None or body is None:
            return None
        headers = {name: value.decode("latin-1") for name, value in request.headers}
        parts = urlsplit(request.target.decode("ascii", "replace"))
        method = request.method.decode()
        log.info("lease service: %s %s", method, parts.path)
        try:
            told = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            told = {}
        return Question(
            method,
            parts.path,
            dict(parse_qsl(parts.query)),
            headers.get(b"authorization", "").removeprefix("Bearer "),
            told if isinstance(told, dict) else {},
        )

    async def _answer(
        self, stream: trio.SocketStream, connection: h11.Connection, question: Question
    ) -> None:
        fault = self._take(*ACCIDENTS)
        match fault.word if fault else "":
            case "hang":
                await say_nothing(stream)
            case "garbage":
                await stream.send_all(noise(READ_SIZE))
            case "flood":
                await stream.send_all(ENDLESS)
                await flood(stream)
            case "no-json":
                await stream.send_all(encoded_answer(connection, 200, PROXY_PAGE, []))
            case "redirect" | "redirect-nonsense" as word:
                headers = [("Location", ELSEWHERE if word == "redirect" else NO_PLACE)]
                await stream.send_all(encoded_answer(connection, 307, b"", headers))
            case "http-500":
                await self._send(stream, connection, 500, {"detail": "the database is gone"})
            case _:
                if fault is not None:
                    await trio.sleep(fault.argument or 0)
                status, document, headers = self._obey(question)
                await self._send(stream, connection, status, document, headers)

    async def _send(
        self,
        stream: trio.SocketStream,
        connection: h11.Connection,
        status: int,
        document: object,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        whole = [("Content-Type", "application/json"), *(headers or [])]
        await stream.send_all(encoded_answer(connection, status, body, whole))

    def _obey(self, question: Question) -> tuple[int, object, list[tuple[str, str]]]:
        try:
            if question.method == "GET" and question.path == "/leases":
                return self._page(self._book.find(question.asked), question)
            return (*self._dispatch(question), [])
        except RefusedError as error:
            return error.status, {"detail": error.detail}, []

    def _dispatch(self, question: Question) -> tuple[int, object]:
        match question.method, question.path.split("/")[1:]:
            case "GET", ["resources", "by-name", name]:
                return self._book.resource(name)
            case "POST", ["auth", "login"]:
                return self._log_in(question.told)
            case "POST", ["leases"]:
                return self._book.book(self._user(question), question.told)
            case "PATCH", ["leases", lease_id]:
                return self._book.change(self._user(question), lease_id, question.told)
            case "DELETE", ["leases", lease_id]:
                return self._book.cancel(self._user(question), lease_id)
        raise RefusedError(404, "Not Found")

    def _page(
        self, rows: list[dict[str, object]], question: Question
    ) -> tuple[int, object, list[tuple[str, str]]]:
        """The rows as they are, or as a fault has them."""
        fault = self._take("wrong-types", "no-zone", "pages")
        if fault is None:
            return 200, rows, []
        if fault.word == "wrong-types":
            return 200, [{**row, "id": "one", "resource_id": []} for row in rows], []
        if fault.word == "no-zone":
            naive = [{**row, "t_from": str(row["t_from"]).removesuffix("Z")} for row in rows]
            return 200, naive, []
        size, page = int(fault.argument or 1), whole_number(question.asked.get("page", "0"))
        headers = [("X-Total-Count", str(len(rows)))]
        if (page + 1) * size < len(rows):
            headers.append(("Link", f'<{self._url}/leases?page={page + 1}>; rel="next"'))
        return 200, rows[page * size : (page + 1) * size], headers

    def _log_in(self, told: Mapping[str, object]) -> tuple[int, object]:
        email = str(told.get("email", ""))
        if not email.endswith(DOMAIN) or told.get("password") != PASSWORD:
            raise RefusedError(401, "Invalid credentials")
        token = secrets.token_urlsafe(32)
        self._users[token] = email.removesuffix(DOMAIN)
        return 200, {"access_token": token, "token_type": "bearer"}

    def _user(self, question: Question) -> str:
        if self._take("expired-token") or question.token not in self._users:
            raise RefusedError(401, "Invalid or expired token")
        return self._users[question.token]
