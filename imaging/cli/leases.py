"""imaging-leases."""

import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click

from imaging.cli.columns import aligned
from imaging.cli.options import CONTEXT, SelectionWords, node_spec_argument, version_option
from imaging.cli.session import Site, run, run_with_settings
from imaging.errors import ConfigurationError
from imaging.feedback.wording import LATEST_S, is_encodable, printable, utc_text
from imaging.leases.backend import Actor, Credentials, LeaseBackend
from imaging.leases.decision import Answer
from imaging.leases.lease import Lease, TokenRefusedError, moment_text
from imaging.leases.times import MINUTE_S, check_span, parse_moment
from imaging.leases.times import aligned as aligned_moment
from imaging.site.inventory import load_inventory
from imaging.site.schema import LeasesSettings
from imaging.site.settings import LoadedSettings
from imaging.site.user import acting_login

if TYPE_CHECKING:
    from imaging.leases.decision import Decision

NAME = "imaging-leases"
T = TypeVar("T")

all_option = click.option("--all", "everything", is_flag=True, help="Also those of the past.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")


@click.group(NAME, context_settings=CONTEXT, invoke_without_command=True)
@all_option
@json_option
@version_option
@click.pass_context
def command(context: click.Context, everything: bool, as_json: bool) -> None:
    """List the leases of this site from today on, or change them.

    Where a site has leases, only who holds one now may change nodes. TIME is 14:00 (today),
    2026-03-01T14:00, both on this host's clock; now; or +2h30m, after now, after the beginning of
    the lease to book, or after the end of the lease to extend.

    JSON keys of a lease: id, holder, from and until (UTC), nodes (null is the whole testbed),
    state (over, now or coming).

    \b
    Examples:
      imaging-leases
      imaging-leases book 14:00 +2h
      imaging-leases book now 18:00 1-12
      imaging-leases extend 7 +30m
      imaging-leases check && imaging-load -i sample -a
    """
    if context.invoked_subcommand is None:
        context.exit(_list(everything, as_json))
    elif everything or as_json:
        raise click.UsageError(f"options go after {context.invoked_subcommand}")


@command.command("list", context_settings=CONTEXT)
@all_option
@json_option
@click.pass_context
def list_command(context: click.Context, everything: bool, as_json: bool) -> None:
    """List the leases from today on; the same as without a command."""
    context.exit(_list(everything, as_json))


@command.command(context_settings=CONTEXT)
@click.argument("start", metavar="FROM")
@click.argument("end", metavar="UNTIL")
@node_spec_argument
@click.option("--for", "holder", metavar="LOGIN", help="Book for somebody else, or for a slice.")
@json_option
@click.pass_context
def book(
    context: click.Context,
    start: str,
    end: str,
    node_spec: tuple[str, ...],
    holder: str | None,
    as_json: bool,
) -> None:
    """Book the whole testbed, or some nodes, where the site can do that."""

    def body(loaded: LoadedSettings) -> int:
        settings, actor, now = loaded.settings.leases, _actor(loaded), time.time()
        if holder is not None and not is_encodable(holder):
            raise ConfigurationError("--for: the login is not UTF-8 text")
        nodes = _nodes(loaded, node_spec) if node_spec else None
        begins = parse_moment(start, now)
        ends = parse_moment(end, now, since=begins.at)

        async def work(leases: LeaseBackend) -> Lease:
            span = check_span(begins, ends, now, await leases.granularity())
            return await leases.book(actor, holder or actor.login, *span, nodes)

        return _tell(_change(settings, work), as_json)

    context.exit(run_with_settings(NAME, body))


@command.command(context_settings=CONTEXT)
@click.argument("lease_id", metavar="LEASE")
@click.argument("end", metavar="UNTIL")
@json_option
@click.pass_context
def extend(context: click.Context, lease_id: str, end: str, as_json: bool) -> None:
    """Have a lease of yours last longer."""

    def body(loaded: LoadedSettings) -> int:
        actor, now = _actor(loaded), time.time()

        async def work(leases: LeaseBackend) -> Lease:
            lease = _with_id(await leases.between(now, LATEST_S), lease_id)
            until = parse_moment(end, now, since=lease.end)
            granularity = await leases.granularity()
            return await leases.extend(actor, lease_id, aligned_moment(until, granularity, up=True))

        return _tell(_change(loaded.settings.leases, work), as_json)

    context.exit(run_with_settings(NAME, body))


@command.command(context_settings=CONTEXT)
@click.argument("lease_id", metavar="LEASE")
@click.pass_context
def cancel(context: click.Context, lease_id: str) -> None:
    """Give a lease of yours back; one that has begun ends now."""

    def body(loaded: LoadedSettings) -> int:
        actor = _actor(loaded)
        lease = _change(
            loaded.settings.leases, lambda leases: leases.cancel(actor, lease_id, time.time())
        )
        ends = "is cancelled" if lease is None else f"ends at {moment_text(lease.end)}"
        print(f"lease {lease_id} {ends}")
        return 0

    context.exit(run_with_settings(NAME, body))


@command.command(context_settings=CONTEXT)
@node_spec_argument
@click.option("--until", metavar="TIME", help="Will you still have it then?")
@json_option
@click.pass_context
def check(
    context: click.Context, node_spec: tuple[str, ...], until: str | None, as_json: bool
) -> None:
    """Say whether you may act on nodes now: exit code 0 if so, 1 if not.

    Without NODE_SPEC, the nodes are those of $NODES, else all. JSON keys: may_act, answer (yes,
    no-lease, ends-early, unknown), login, until (UTC; null when there is no end), message.
    """

    def body(site: Site) -> int:
        import trio

        from imaging.operations.authorization import Authorization

        now = time.time()
        last = now if until is None else parse_moment(until, now).at
        if last < now - MINUTE_S:
            raise ConfigurationError(f"--until: {moment_text(last)} is past")
        nodes = [node.name for node in SelectionWords(node_spec).nodes_or_all(site)]
        authorization = Authorization(site.settings.leases, horizon_s=last - now)

        async def ask() -> "Decision":
            await authorization.look()
            return await authorization.answer(nodes, last)

        decision = trio.run(ask)
        lenient = site.settings.leases.when_unreachable == "allow"
        may_act = decision.answer is Answer.YES or (decision.answer is Answer.UNKNOWN and lenient)
        if as_json:
            _print_json(
                {
                    "may_act": may_act,
                    "answer": decision.answer.value,
                    "login": authorization.login,
                    "until": None if decision.until is None else utc_text(decision.until),
                    "message": decision.message,
                }
            )
        else:
            print(f"{'yes' if may_act else 'no'}: {decision.message}")
        return 0 if may_act else 1

    context.exit(run(NAME, body))


def _list(everything: bool, as_json: bool) -> int:
    def body(loaded: LoadedSettings) -> int:
        settings, now = loaded.settings.leases, time.time()
        found: Sequence[Lease] = []
        if settings.backend == "none":
            print(f"{NAME}: this site has no leases: everybody may act", file=sys.stderr)
        else:
            start = 0.0 if everything else _midnight(now)
            found = _ask(settings, lambda leases: leases.between(start, LATEST_S))
        if as_json:
            _print_json([as_object(lease, now) for lease in found])
        elif found:
            print("\n".join(aligned(table(found, now))))
        elif settings.backend != "none":
            print(f"no leases{'' if everything else ' from today on'}")
        return 0

    return run_with_settings(NAME, body)


def table(leases: Sequence[Lease], now: float) -> list[list[str]]:
    """The leases as rows of cells, under a header; ``now`` is in seconds since the epoch."""
    rows = [["LEASE", "HOLDER", "FROM", "UNTIL", "STATE", "NODES"]]
    for lease in leases:
        span = [moment_text(lease.start), moment_text(lease.end)]
        rows.append([lease.lease_id, lease.who, *span, _state(lease, now), lease.what])
    return rows


def as_object(lease: Lease, now: float) -> dict[str, object]:
    """One lease with the keys of --json."""
    return {
        "id": lease.lease_id,
        "holder": lease.holder,
        "from": utc_text(lease.start),
        "until": utc_text(lease.end),
        "nodes": None if lease.nodes is None else list(lease.nodes),
        "state": _state(lease, now),
    }


def _state(lease: Lease, now: float) -> str:
    if lease.is_current(now):
        return "now"
    return "over" if lease.end <= now else "coming"


def _tell(lease: Lease, as_json: bool) -> int:
    if as_json:
        _print_json(as_object(lease, time.time()))
    else:
        span = f"{moment_text(lease.start)} until {moment_text(lease.end)}"
        print(f"lease {lease.lease_id}: {lease.who}, {span}, {lease.what}")
    return 0


def _ask(
    settings: LeasesSettings,
    question: Callable[[LeaseBackend], Awaitable[T]],
    credentials: Credentials | None = None,
    *,
    changes: bool = False,
) -> T:
    import trio

    from imaging.leases.opening import ask_leases

    return trio.run(partial(ask_leases, settings, question, credentials, changes=changes))


def _change(settings: LeasesSettings, question: Callable[[LeaseBackend], Awaitable[T]]) -> T:
    """Have something changed; where that wants a login, it is asked for on a terminal.

    A token that is not taken is one that has expired: with a login, the question is asked again.
    """
    credentials = _credentials(settings) if settings.backend == "r2labapi" else None
    try:
        return _ask(settings, question, credentials, changes=True)
    except TokenRefusedError as error:
        if credentials is not None or not sys.stdin.isatty():
            raise
        print(f"{NAME}: {error}", file=sys.stderr)
    return _ask(settings, question, _asked_credentials(settings), changes=True)


def _credentials(settings: LeasesSettings) -> Credentials | None:
    """Those of the environment; where there is no token either, they are asked for."""
    from imaging.leases.r2labapi import credentials_of

    found = credentials_of()
    if found is not None or settings.token or not sys.stdin.isatty():
        return found
    return _asked_credentials(settings)


def _asked_credentials(settings: LeasesSettings) -> Credentials:
    email = click.prompt(f"Email for {settings.url}", err=True)
    return Credentials(email, click.prompt("Password", hide_input=True, err=True))


def _actor(loaded: LoadedSettings) -> Actor:
    privileged = loaded.settings.leases.privileged_logins
    login = acting_login(privileged)
    return Actor(login, login in privileged)


def _nodes(loaded: LoadedSettings, words: tuple[str, ...]) -> tuple[str, ...]:
    site = Site(loaded.settings, load_inventory(loaded.settings.inventory.file))
    return tuple(node.name for node in SelectionWords(words).nodes(site))


def _with_id(leases: Sequence[Lease], lease_id: str) -> Lease:
    for lease in leases:
        if lease.lease_id == lease_id:
            return lease
    raise ConfigurationError(
        f"there is no lease {printable(lease_id)} now or to come", hint=f"see {NAME}"
    )


def _midnight(now: float) -> float:
    """The beginning of the day on this host's clock."""
    day = datetime.fromtimestamp(now).astimezone()
    return day.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None).timestamp()


def _print_json(document: object) -> None:
    print(json.dumps(document, indent=2))
