"""Asking a power card: so many attempts, each bounded in time, and what is said when it fails."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import trio

from imaging.errors import NodeError, Reason
from imaging.feedback.wording import printable
from imaging.jitter import jittered
from imaging.site.power_schema import PowerSettings

T = TypeVar("T")
NO_HTTP = "what answers speaks no HTTP"
MEANS = "does it work by hand, and is it of the model that the inventory says?"
TOLD_LIMIT = 200  # characters of what a card says that are shown


class NoAnswerError(Exception):
    """An attempt that failed without an answer: the next may do better. The text is the cause."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How the card of ``node`` is asked; ``card`` is its name in messages, as "its CMC 10.0.0.1".

    A question gets ``attempts`` tries of at most ``request_timeout_s`` seconds each,
    ``retry_delay_s`` seconds apart (jittered).
    """

    node: str
    card: str
    attempts: int
    request_timeout_s: float
    retry_delay_s: float

    @classmethod
    def of(cls, node: str, card: str, settings: PowerSettings) -> "Asking":
        """As the settings say."""
        return cls(
            node, card, settings.attempts, settings.request_timeout_s, settings.retry_delay_s
        )

    async def ask(self, verb: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """The first answer. Raises NodeError ``no-cmc``, and what ``attempt`` raises.

        Only NoAnswerError, and the end of its time, make it try again: an answer, whatever it is,
        will be the same next time, and cards lock out who repeats a wrong password.
        """
        cause = ""
        for number in range(self.attempts):
            if number:
                await trio.sleep(jittered(self.retry_delay_s))
            with trio.move_on_after(self.request_timeout_s):
                try:
                    return await attempt()
                except NoAnswerError as error:
                    cause = str(error)
                    continue
            cause = f"no answer within {self.request_timeout_s:g} s"
        raise NodeError(
            f"{self.node}: {self.card} does not answer to {verb}: {cause}",
            reason=Reason.NO_CMC,
            hint="is the card powered and cabled?",
        )

    def refused(self, verb: str, what: str, *, hint: str | None = None) -> NodeError:
        """An error that names the card; what it has said itself is cut and made harmless.

        Without a better ``hint``, it tells to ask the card by other means.
        """
        if len(what) > TOLD_LIMIT:
            what = f"{what[:TOLD_LIMIT]}..."
        return NodeError(
            f"{self.node}: {self.card}, asked for {verb}, {printable(what)}",
            reason=Reason.POWER_REFUSED,
            hint=hint or MEANS,
        )


def shown_lines(text: str) -> str:
    """A card's own words, free of what a terminal could obey."""
    lines = ("".join(filter(str.isprintable, line)).strip() for line in text.splitlines())
    return "\n".join(lines).strip()
