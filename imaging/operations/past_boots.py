"""What the history tells of how long nodes take to boot, for who is about to poll them."""

from collections.abc import Mapping, Sequence

import trio

from imaging.operations.polling import Polling
from imaging.site.schema import Settings
from imaging.site.state import history_file


async def learn_boots(polling: Polling, nodes: Sequence[str], settings: Settings) -> None:
    """Have a polling know of the nodes' past boots, as soon as a thread has read them.

    Nobody waits for it: of what cannot be read, or hangs, nothing is known.
    """

    def look_up() -> Mapping[str, Sequence[float]]:
        from imaging.feedback.records.boots import past_boots  # SQLite, for who asks
        from imaging.feedback.records.history import HistoryError

        try:
            return past_boots(history_file(settings), nodes)
        except HistoryError:
            return {}  # recording the run will tell it

    polling.expect(await trio.to_thread.run_sync(look_up, abandon_on_cancel=True))
