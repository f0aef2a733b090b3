"""Whether a run may act on its nodes: the leases are asked for, and asked for again.

The first time is while the other checks are made, before any node is touched; later it is before
what others would suffer from, such as the last reset. What is asked then is not asked anew for
each of a thousand nodes that get there together.
"""

import logging
import time
from collections.abc import Callable, Sequence

import trio

from imaging.errors import ConfigurationError, InfrastructureError, NodeError, Reason
from imaging.leases.decision import Answer, Decision, decide
from imaging.leases.lease import Lease, LeaseServiceError, moment_text
from imaging.leases.opening import ask_leases
from imaging.operations.steps import NodeStory
from imaging.site.schema import LeasesSettings
from imaging.site.user import acting_login

log = logging.getLogger(__name__)

FRESH_S = 3.0  # what was known so long ago is still believed
HORIZON_S = 86400.0  # in which the user's next lease is looked for
HINT = "imaging-leases tells whose the nodes are"
UNREACHABLE = "[leases] when_unreachable decides what comes of it"


class Authorization:
    """The user's right to act, as far as the site has leases, and the user needs one."""

    def __init__(
        self,
        settings: LeasesSettings,
        *,
        strict: bool = False,
        horizon_s: float = 0.0,
        login: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``strict`` refuses also a lease that ends too early; a run takes ``horizon_s`` at most.

        ``login`` is the acting user when it is not given, ``clock`` gives seconds since the epoch.
        """
        self._settings = settings
        self._strict = strict
        self._horizon_s = max(horizon_s, HORIZON_S)
        self._clock = clock
        self._leases: list[Lease] | None = None
        self._known_at = self._asked_at = 0.0
        self._problem: LeaseServiceError | ConfigurationError | None = None
        self._told: Exception | None = None
        privileged = settings.privileged_logins
        self.login = acting_login(privileged) if login is None else login
        self.needed = settings.backend != "none" and self.login not in privileged
        self._looked = trio.Event()
        self._asking = trio.Lock()

    async def look(self) -> None:
        """Ask for the leases; what comes of it is told by the others."""
        if self.needed:
            await self._ask()
        self._looked.set()

    async def require(self, nodes: Sequence[str], until: float) -> str | None:
        """Raise InfrastructureError unless the user may act on the nodes until then.

        ``until`` is in seconds since the epoch. What is to be told, if anything, is returned. Waits
        for ``look``.
        """
        if not self.needed:
            return None
        await self._looked.wait()
        decision = self._decide(nodes, until)
        match decision.answer:
            case Answer.NO_LEASE:
                raise InfrastructureError(decision.message, reason=Reason.NO_LEASE, hint=HINT)
            case Answer.ENDS_EARLY if self._strict:
                raise InfrastructureError(
                    decision.message,
                    reason=Reason.LEASE_TOO_SHORT,
                    hint="imaging-leases extend makes it last longer",
                )
            case Answer.UNKNOWN if isinstance(self._problem, ConfigurationError):
                raise self._problem
            case Answer.UNKNOWN if not self._is_lenient:
                raise InfrastructureError(
                    decision.message,
                    reason=Reason.LEASES_UNREACHABLE,
                    hint=UNREACHABLE,
                )
            case Answer.YES:
                log.info("- %s", decision.message)
                return None
        return self._tolerated(decision)

    async def advise(self, nodes: Sequence[str]) -> str | None:
        """What somebody who only looks at the nodes should know, if anything. Waits for look."""
        if not self.needed:
            return None
        decision = await self.answer(nodes, self._clock())
        return None if decision.answer is Answer.YES else decision.message

    async def answer(self, nodes: Sequence[str], until: float) -> Decision:
        """The answer as it is, whatever comes of it. Waits for look."""
        if self._settings.backend == "none":
            return Decision(Answer.YES, "this site has no leases: everybody may")
        if not self.needed:
            return Decision(Answer.YES, f"{self.login} needs no lease")
        await self._looked.wait()
        return self._decide(nodes, until)

    async def confirm(self, story: NodeStory) -> None:
        """Ask once more for one node. Raises NodeError ``no-lease`` or ``leases-unreachable``.

        While the leases are not known, the user's lease counts that was known before.
        """
        if not self.needed:
            return
        await self.refresh()
        decision = self._decide([story.node], self._clock())
        if decision.answer is Answer.NO_LEASE:
            raise NodeError(
                f"{story.node}: left as it is: {decision.message}",
                reason=Reason.NO_LEASE,
                hint=HINT,
            )
        if decision.answer is not Answer.UNKNOWN:
            return
        earlier = self._by_what_was_known([story.node])
        if earlier is not None and earlier.answer is Answer.YES:
            what = f"{decision.message}; as known at {moment_text(self._known_at)}"
            self._tell_once(story, f"{what}, {earlier.message}")
        elif self._is_lenient:
            self._tell_once(story, self._tolerated(decision))
        else:
            raise NodeError(
                f"{story.node}: left as it is: {decision.message}",
                reason=Reason.LEASES_UNREACHABLE,
                hint=UNREACHABLE,
            )

    async def refresh(self) -> None:
        """Ask once more, unless that was just now; what comes of it is told by the others."""
        if not self.needed:
            return
        async with self._asking:
            if not 0 <= self._clock() - self._asked_at <= FRESH_S:  # clocks are set back, too
                await self._ask()

    def has_lapsed(self, node: str) -> bool:
        """Whether the user's lease is over, by what is known: this asks nobody."""
        decision = self._by_what_was_known([node]) if self.needed else None
        return decision is not None and decision.answer is Answer.NO_LEASE

    @property
    def _is_lenient(self) -> bool:
        return self._settings.when_unreachable == "allow"

    def _tolerated(self, decision: Decision) -> str:
        if decision.answer is Answer.UNKNOWN:
            return f"{decision.message}; [leases] when_unreachable allows to go on"
        return decision.message

    def _tell_once(self, story: NodeStory, message: str) -> None:
        if self._told is not self._problem:
            self._told = self._problem
            story.notice(message)

    def _decide(self, nodes: Sequence[str], until: float) -> Decision:
        if self._problem is not None or self._leases is None:
            return Decision(Answer.UNKNOWN, str(self._problem))
        return decide(self._leases, self.login, nodes, self._clock(), until)

    def _by_what_was_known(self, nodes: Sequence[str]) -> Decision | None:
        if self._leases is None:
            return None
        now = self._clock()
        return decide(self._leases, self.login, nodes, now, now)

    async def _ask(self) -> None:
        now = self._clock()
        problem: LeaseServiceError | ConfigurationError | None = None
        try:
            self._leases = await ask_leases(
                self._settings, lambda leases: leases.between(now, now + self._horizon_s)
            )
            self._known_at = now
        except (LeaseServiceError, ConfigurationError) as error:
            problem = error
        self._problem, self._asked_at = problem, self._clock()


def ask_at_once(settings: LeasesSettings, nodes: Sequence[str]) -> str | None:
    """For a command that is done in no time: may it act on these nodes? See ``require``."""
    authorization = Authorization(settings)

    async def ask() -> str | None:
        await authorization.look()
        return await authorization.require(nodes, time.time())

    return trio.run(ask)
