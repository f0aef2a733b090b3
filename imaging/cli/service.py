"""How a command runs that goes on until it is told to end, or its time is up."""

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from imaging.cli.interrupts import cancel_on_signal, command_age
from imaging.cli.watchdog import Watchdog

END_LIMIT_S = 0.9  # from a signal, or the end of the time, to the end of the process


@dataclass(slots=True)
class Service:
    """Something that is served until then; ``timeout`` is in seconds since the command began."""

    command: str
    timeout: float
    signalled: signal.Signals | None = None
    _watchdog: Watchdog = field(init=False)

    def __post_init__(self) -> None:
        """Have the last word on the timeout."""
        self._watchdog = Watchdog(self.command)
        if self.timeout < float("inf"):
            self._watchdog.limit(self.timeout - command_age() + END_LIMIT_S)

    def rest(self) -> None:
        """The process ends by itself."""
        self._watchdog.rest()

    def run(self, serve: Callable[[], Awaitable[None]]) -> bool:
        """Serve; gives whether it has come to its own end. Raises ImagingError."""
        import trio

        return trio.run(self._main, serve)

    async def _main(self, serve: Callable[[], Awaitable[None]]) -> bool:
        import trio

        scope = trio.CancelScope(deadline=trio.current_time() + self.timeout - command_age())
        async with trio.open_nursery() as services:
            await services.start(cancel_on_signal, scope, self._heed)
            with scope:
                await serve()
            services.cancel_scope.cancel(reason="the service has ended")
        return not scope.cancelled_caught

    def _heed(self, number: signal.Signals) -> bool:
        self.signalled = number
        self._watchdog.limit(END_LIMIT_S)
        return True
