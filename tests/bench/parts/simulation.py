"""Up to a thousand clients, simulated: what a server sends, what it is asked, how long it takes."""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context

from tests.bench.loss import least_sent
from tests.bench.parts import Part, Wish
from tests.bench.simulated_group import Group, Site
from tests.bench.tables import PartResult, Table, number

COUNTS = (10, 100, 1000)
LOSSES = (0.0, 0.001, 0.005, 0.01, 0.02)
LIMIT_S = 30.0  # virtual; without loss it takes a second or two
LATE_LIMIT_S = 120.0
BUDGET_S = 900.0  # of computing, for each case
STEP_S = 0.1  # virtual
LATE = Site(200, chunks=128, bandwidth=500e6, boot_spread_s=60.0, look_s=0.02)
LONG = Site(10, chunks=512)
COLUMNS = (
    "clients",
    "loss",
    "sent per block",
    "least possible",
    "requests per chunk",
    "requests/s",
    "waiting at once",
    "server's time with them",
    "all done after s",
    "times the lossless",
    "first done after s",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has come of a simulated session; times in seconds, virtual but for ``computed_s``.

    Attributes:
        done: how many clients have the image.
        took: how long each of these took, in order of the end.
        at: when the last one was done, or when the simulation was given up.
        sent: blocks for each block of the image.
        requests: packets with requests that reached the server.
        most_waiting: requests that waited at the server at once.
        busy: share of the time that the server spent with requests.
    """

    done: int
    took: tuple[float, ...]
    at: float
    sent: float
    requests: int
    most_waiting: int
    busy: float
    computed_s: float


def simulate(site: Site, limit_s: float = LIMIT_S, budget_s: float = BUDGET_S) -> Outcome:
    """Simulate a session until all are done, or the time or the patience is at its end."""
    begin = time.process_time()
    group = Group(site)
    complete, steps = False, 0
    while not complete and steps * STEP_S < limit_s and time.process_time() - begin < budget_s:
        steps += 1
        complete = group.run(steps * STEP_S)
    at = group.clock.now
    server = group.server
    return Outcome(
        done=len(group.finished),
        took=tuple(group.finished),
        at=at,
        sent=server.session.counters.blocks_sent / server.session.blocks,
        requests=server.requests,
        most_waiting=server.most_waiting,
        busy=server.busy_s / at if at else 0.0,
        computed_s=time.process_time() - begin,
    )


def sites() -> list[Site]:
    """All that is simulated, the longest first."""
    found = [Site(count, loss=loss) for count in COUNTS for loss in LOSSES]
    found += [Site(count, loss=loss, shared=True) for count in COUNTS for loss in LOSSES[1:]]
    found += [replace(LONG, loss=loss) for loss in (0.0, 0.01, 0.02)]
    found += [replace(LATE, loss=loss) for loss in (0.0, 0.001, 0.01)]
    return sorted(found, key=lambda site: (site.boot_spread_s, site.clients), reverse=True)


def run(wish: Wish) -> PartResult:
    """Simulate everything, on all cores. Chance has its seeds: it is run once."""
    outcomes: dict[Site, Outcome] = {}
    # spawned: a process must not inherit what another part has left in this one
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        started = {pool.submit(simulate, site, _limit(site)): site for site in sites()}
        try:
            for future in as_completed(started):
                site = started[future]
                outcomes[site] = outcome = future.result()
                wish.say(
                    f"  {_told(site)}: {outcome.at:.2f} s, computed {outcome.computed_s:.0f} s"
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return PartResult(_tables(outcomes), _ratios(outcomes))


def _limit(site: Site) -> float:
    return LATE_LIMIT_S if site.boot_spread_s > 1 else LIMIT_S


def _told(site: Site) -> str:
    how = " of bursts, by all" if site.shared else ""
    late = f", begun within {site.boot_spread_s:g} s" if site.boot_spread_s > 1 else ""
    return f"{site.clients} clients, {site.chunks} MiB, {site.loss:.1%} lost{how}{late}"


def _lossless(site: Site) -> Site:
    return replace(site, loss=0.0, shared=False)


def _row(site: Site, outcome: Outcome, lossless: Outcome) -> list[str]:
    complete = outcome.done == site.clients
    least = 1 / (1 - site.loss) if site.shared else least_sent(site.clients, site.loss)
    return [
        str(site.clients),
        f"{site.loss:.1%}",
        f"{outcome.sent:.3f}" if complete else f"{outcome.sent:.3f} so far",
        f"{least:.3f}",
        number(outcome.requests / site.chunks),
        number(outcome.requests / outcome.at),
        str(outcome.most_waiting),
        f"{outcome.busy:.1%}",
        number(outcome.at) if complete else f"{outcome.done} done after {number(outcome.at)}",
        f"{outcome.at / lossless.at:.2f}" if complete else f"over {outcome.at / lossless.at:.2f}",
        number(outcome.took[0]) if outcome.took else "",
    ]


def _table(title: str, chosen: Sequence[Site], outcomes: dict[Site, Outcome], note: str) -> Table:
    rows = [_row(site, outcomes[site], outcomes[_lossless(site)]) for site in chosen]
    return Table(title, COLUMNS, rows, [note])


def _tables(outcomes: dict[Site, Outcome]) -> list[Table]:
    plain = Site(1)
    ordered = sorted(outcomes, key=lambda site: (site.clients, site.loss))
    early = [site for site in ordered if site.chunks == plain.chunks]
    late = [site for site in ordered if site.boot_spread_s > 1]
    return [
        _table(
            "Each client loses packets by itself",
            [site for site in early if not site.shared],
            outcomes,
            f"Image of {plain.chunks} MiB, -W {plain.bandwidth / 1e6:.0f} Mbit/s, all begin within "
            f"{plain.boot_spread_s * 1000:.0f} ms. A request costs the server "
            f"{plain.request_s * 1e6:.0f} us, a call that sends {plain.call_s * 1e6:.0f} us; a "
            f"packet travels {plain.travel_s * 1e6:.0f} us, a client looks at what has come within "
            f"{plain.look_s * 1000:.0f} ms. Requests are lost as blocks are. A case is given up "
            f"after {LIMIT_S:.0f} s, or {BUDGET_S:.0f} s of computing.",
        ),
        _table(
            "Bursts are lost by all clients, at the server",
            [site for site in early if site.shared or not site.loss],
            outcomes,
            "As before, but a call of up to 62 blocks is lost whole.",
        ),
        _table(
            "A longer image",
            [site for site in ordered if site.clients == LONG.clients and site not in early],
            outcomes,
            f"Image of {LONG.chunks} MiB; each client loses packets by itself.",
        ),
        _late_table(late, outcomes),
    ]


def _late_table(chosen: Sequence[Site], outcomes: dict[Site, Outcome]) -> Table:
    rows = []
    for site in chosen:
        outcome = outcomes[site]
        spread = [number(_quantile(outcome.took, share)) for share in (0.05, 0.5, 0.95)]
        done = "" if outcome.done == site.clients else f" ({outcome.done} done)"
        rows.append(
            [
                str(site.clients),
                f"{site.loss:.1%}",
                f"{outcome.sent:.2f}",
                number(outcome.requests / site.chunks),
                number(outcome.requests / outcome.at),
                number(outcome.at) + done,
                *spread,
            ]
        )
    columns = ["clients", "loss", "sent per block", "requests per chunk", "requests/s"]
    columns += ["last done at s", "a client took s: 5 %", "median", "95 %"]
    alone = LATE.chunks * 1024 * 8976 / LATE.bandwidth
    note = (
        f"Image of {LATE.chunks} MiB, -W {LATE.bandwidth / 1e6:.1f} Mbit/s, at which the image "
        f"takes {alone:.1f} s; each client begins at random within {LATE.boot_spread_s:.0f} s."
    )
    return Table("Nodes that boot one after the other", columns, rows, [note])


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))] if ordered else float("nan")


def _ratios(outcomes: dict[Site, Outcome]) -> dict[str, float]:
    """What does not depend on any machine; more is better. A case that was given up has none."""
    found = {}
    for site, outcome in outcomes.items():
        if site.boot_spread_s > 1 or outcome.done < site.clients:
            continue
        name = _told(site)
        found[f"{name}: chunks per request"] = site.chunks / max(1, outcome.requests)
        if site.loss and not site.shared:
            found[f"{name}: least possible over sent"] = (
                least_sent(site.clients, site.loss) / outcome.sent
            )
        lossless = outcomes[_lossless(site)]
        if site.loss and lossless.done == site.clients:
            found[f"{name}: speed of the lossless one's"] = lossless.at / outcome.at
    return found


PART = Part("A thousand clients, simulated", run, "scaling.md")
