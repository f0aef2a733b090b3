"""imaging-monitor."""

import os
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click
import msgspec

from imaging.cli.columns import aligned
from imaging.cli.completion import complete_files
from imaging.cli.options import CONTEXT, SelectionWords, live_option, node_selection, version_option
from imaging.cli.restriction import refuse_files
from imaging.cli.service import Service
from imaging.cli.session import Site
from imaging.cli.wishes import STANDARD_OUTPUT, STDOUT

if TYPE_CHECKING:
    # what speaks with nodes is imported when the options are known to be right
    from imaging.monitor.faces import Face
    from imaging.monitor.live import LiveFace
    from imaging.monitor.service import Monitor

NAME = "imaging-monitor"
LAST_WORDS_S = 0.25  # for each face


class Wishes(msgspec.Struct, frozen=True):
    """What the user wants to see of the nodes, and where."""

    once: bool
    as_json: bool
    events: str | None
    quiet: bool
    live: bool
    prometheus: str | None
    web: str | None
    sidecar: str | None

    def check(self) -> None:
        """Raises click.UsageError when they contradict each other."""
        shown = (self.events, self.prometheus, self.web, self.sidecar)
        if self.as_json and not self.once:
            raise click.UsageError("--json goes with --once")
        if self.once and any(place is not None for place in shown):
            raise click.UsageError("--once looks once: it goes neither with --events nor servers")
        if self.live and (self.once or self.quiet):
            raise click.UsageError("-c goes neither with --once nor with -q")


@click.command(NAME, context_settings=CONTEXT)
@node_selection
@click.option("--once", is_flag=True, help="Look once, print a table, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --once: one JSON object, no table.")
@click.option(
    "--events",
    metavar="FILE|-",
    shell_complete=complete_files,
    help="Write each change as it is seen, a line of JSON each; - is standard output.",
)
@click.option(
    "-t",
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End after so long; without it, it goes on until it is told to end.",
)
@live_option
@click.option(
    "--prometheus",
    metavar="ADDR:PORT",
    help="Serve metrics for Prometheus there; without ADDR, to this host only.",
)
@click.option(
    "--web",
    metavar="ADDR:PORT",
    help="Serve a page for browsers there; without ADDR, to this host only.",
)
@click.option(
    "--sidecar",
    metavar="URL",
    help="Tell each change to a websocket server, as ws://HOST:PORT/, which may come and go.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print no line per change.")
@version_option
@click.pass_context
def command(
    context: click.Context,
    /,
    selection: SelectionWords,
    timeout: float | None,
    **wanted: Any,
) -> None:
    """Watch nodes: their power, their systems and ramdisks, their images.

    Nothing is changed on any node. Each is looked at in its own rhythm ([monitor] cycle_s in the
    settings): what its power card says, whether ssh answers, or else its ramdisk; a login asks
    what system it is when it is new, and then rarely. A line tells each change.

    The exit code is 0 when it ends as it was told to: by Ctrl-C or SIGTERM, or after -t. With
    --once it is 0 when all power cards have said whether their nodes are on, and 1 otherwise.

    \b
    Examples:
      imaging-monitor -a
      imaging-monitor -c -a
      imaging-monitor --once 1-12
      imaging-monitor -a --events - -t 3600
    """
    from imaging.cli.runs import run_service

    wishes = Wishes(**wanted)
    wishes.check()

    def body(site: Site, service: Service) -> int:
        if wishes.events not in (None, STANDARD_OUTPUT):
            refuse_files(["--events"], site.settings.leases)
        monitor = prepared(site, selection)
        if wishes.once:
            return look_once(monitor, wishes, service)
        return keep_watching(monitor, wishes, service)

    context.exit(run_service(NAME, timeout, body))


def prepared(site: Site, selection: SelectionWords) -> "Monitor":
    """A monitor of the selected nodes. Raises ConfigurationError."""
    nodes = selection.nodes(site)
    from imaging.monitor.service import Monitor
    from imaging.node.remote import prepare_login
    from imaging.operations.descriptors import needed_descriptors, raise_descriptors

    watching = site.settings.monitor
    raise_descriptors(needed_descriptors(watching.probes_at_once) + watching.web_clients)
    ssh = site.settings.ssh
    return Monitor(nodes, site.settings, prepare_login(ssh.user, ssh.port, ssh.key))


def look_once(monitor: "Monitor", wishes: Wishes, service: Service) -> int:
    """Look once, and print what was seen; gives the exit code."""
    from imaging.monitor.documents import once_document
    from imaging.monitor.observations import Power
    from imaging.monitor.wording import counts_text, table_rows

    finished = service.run(monitor.once)
    testbed = monitor.testbed
    if wishes.as_json:
        sys.stdout.write(once_document(testbed).decode())
    else:
        # how long it is so, nobody can know after one look
        print("\n".join(aligned(table_rows(testbed, time.time(), leave_out={"SINCE"}))))
        print(counts_text(testbed), file=sys.stderr)
    if monitor.leases.problem:
        print(
            f"{NAME}: who holds the nodes is not known: {monitor.leases.problem}", file=sys.stderr
        )
    if not finished:
        how = f"interrupted by {service.signalled.name}" if service.signalled else "out of time"
        print(f"{NAME}: {how}, before all nodes were looked at", file=sys.stderr)
        return 1
    said = all(node.power in (Power.ON, Power.OFF) for node in testbed.nodes.values())
    return 0 if said else 1


def keep_watching(monitor: "Monitor", wishes: Wishes, service: Service) -> int:
    """Watch until told to end; gives the exit code."""
    from imaging.feedback.scripts.stream import LineStream, open_stream
    from imaging.monitor.faces import EventsFace, TextFace

    if wishes.events is not None:
        stream = LineStream(open_stream(wishes.events, STDOUT), wishes.events)
        monitor.faces.append(EventsFace(stream, monitor.testbed))
    if wishes.prometheus is not None:
        monitor.faces.append(metrics_face(monitor, wishes.prometheus))
    if wishes.web is not None:
        monitor.faces.append(page_face(monitor, wishes.web))
    if wishes.sidecar is not None:
        monitor.faces.append(sidecar_face(monitor, wishes.sidecar))
    screen = live_face(monitor, wishes) if wishes.live else None
    if screen is not None:
        monitor.faces.append(screen)
    elif not wishes.quiet and wishes.events != STANDARD_OUTPUT:
        stream = LineStream(os.dup(STDOUT), "standard output")
        monitor.faces.append(TextFace(stream, monitor.testbed))
    try:
        with screen.shown() if screen is not None else nullcontext():
            service.run(monitor.keep)
    finally:
        lost = [face.end(LAST_WORDS_S) for face in monitor.faces]
    for loss in filter(None, lost):
        print(f"{NAME}: {loss}", file=sys.stderr)
    return 0


def live_face(monitor: "Monitor", wishes: Wishes) -> "LiveFace | None":
    """The full screen; None where it is not possible, which is said in a line."""
    from imaging.feedback.display.displays import obstacle_of, terminal_stream

    stream = terminal_stream()
    obstacle = obstacle_of(stream)
    if wishes.events == STANDARD_OUTPUT and sys.stdout.isatty():
        obstacle = "the events are written on the terminal"
    if stream is None or obstacle:
        print(f"{NAME}: no full screen: {obstacle}", file=sys.stderr)
        return None
    from imaging.monitor.live import LiveFace

    return LiveFace(monitor.testbed, stream, sys.stdin)


def metrics_face(monitor: "Monitor", where: str) -> "Face":
    """The metrics, about to be served. Raises ConfigurationError."""
    from imaging.monitor.web.address import listen, parse_place, url_of
    from imaging.monitor.web.metrics import MetricsFace

    listening = listen("--prometheus", parse_place("--prometheus", where))
    print(f"{NAME}: metrics at {url_of(listening)}metrics", file=sys.stderr)
    names = monitor.settings.host_names
    return MetricsFace(monitor.testbed, monitor.history, listening, names)


def page_face(monitor: "Monitor", where: str) -> "Face":
    """The page, about to be served. Raises ConfigurationError."""
    from imaging.monitor.web.address import listen, parse_place, url_of
    from imaging.monitor.web.page_face import PageFace

    listening = listen("--web", parse_place("--web", where))
    print(f"{NAME}: page at {url_of(listening)}", file=sys.stderr)
    settings = monitor.settings
    return PageFace(monitor.testbed, listening, settings.host_names, settings.web_clients)


def sidecar_face(monitor: "Monitor", url: str) -> "Face":
    """Who tells a websocket server. Raises ConfigurationError."""
    from imaging.monitor.sidecar import SidecarFace, check_url

    settings = monitor.settings
    return SidecarFace(
        monitor.testbed,
        check_url("--sidecar", url),
        settings.sidecar_retry_s,
        settings.sidecar_retry_limit_s,
    )
