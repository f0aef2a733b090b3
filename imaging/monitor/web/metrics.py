"""Metrics for Prometheus, with its own client library: https://prometheus.io/docs/."""

import socket
from collections.abc import Collection, Iterator

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from prometheus_client import CollectorRegistry, ProcessCollector, make_asgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from imaging.feedback.wording import encodable
from imaging.monitor.observations import Power, Ramdisk, Ssh
from imaging.monitor.records import HistoryProbe
from imaging.monitor.testbed import Condition, NodeState, Testbed
from imaging.monitor.web.answers import TEXT, ReadersOnly, answer, binding
from imaging.monitor.web.server import WebServer

CONNECTIONS = 16
PATHS = ("/", "/metrics")


class NodeCollector(Collector):
    """Gives the metrics of the nodes as they are when it is asked. What is unknown is not there."""

    def __init__(self, testbed: Testbed, history: HistoryProbe) -> None:
        """Nothing is kept here."""
        self._testbed = testbed
        self._history = history

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        nodes = list(self._testbed.nodes.values())
        yield _gauge(
            "imaging_node_up",
            "Whether a login by ssh has run a command (1), or not (0)",
            [(n, n.condition is Condition.UP) for n in nodes if _is_known(n)],
        )
        yield _gauge(
            "imaging_node_power",
            "Whether the node has power, as its card says",
            [(n, n.power is Power.ON) for n in nodes if n.power in (Power.ON, Power.OFF)],
        )
        yield _gauge(
            "imaging_node_cmc",
            "Whether the node's power card answers as it should",
            [(n, n.power in (Power.ON, Power.OFF)) for n in nodes if n.power is not Power.UNKNOWN],
        )
        yield _gauge(
            "imaging_node_ssh",
            "Whether an ssh server answers, be it that it lets us not in",
            [(n, n.ssh in (Ssh.UP, Ssh.NO_LOGIN)) for n in nodes if n.ssh is not Ssh.UNKNOWN],
        )
        yield _gauge(
            "imaging_node_ramdisk",
            "Whether the node is in the imaging ramdisk",
            [(n, n.ramdisk is Ramdisk.UP) for n in nodes if n.ramdisk is not Ramdisk.UNKNOWN],
        )
        yield _gauge(
            "imaging_node_boot_seconds",
            "How long the last boot that was seen has taken, until ssh",
            [(n, n.boot_s) for n in nodes if n.boot_s is not None],
        )
        yield self._info(nodes)
        yield self._conditions()
        yield self._runs()
        if self._testbed.leases_problem is not None:
            about = "Whether it is known who holds the nodes (1), or not (0)"
            known = self._testbed.leases_problem == ""
            yield GaugeMetricFamily("imaging_leases_known", about, value=known)

    def _info(self, nodes: list[NodeState]) -> Metric:
        labels = ("node", "image", "release", "kernel")
        info = GaugeMetricFamily(
            "imaging_node_info", "What is on the node; always 1", labels=labels
        )
        for node in nodes:
            told = (
                node.image_name,
                *((node.system.release, node.system.kernel) if node.system else ("", "")),
            )
            info.add_metric([node.name, *map(encodable, told)], 1)
        return info

    def _conditions(self) -> Metric:
        family = GaugeMetricFamily(
            "imaging_nodes", "How many nodes are in each condition", labels=("condition",)
        )
        counts = self._testbed.conditions()
        for condition in Condition:
            family.add_metric([condition], counts[condition])
        return family

    def _runs(self) -> Metric:
        family = CounterMetricFamily(
            "imaging_runs", "Runs in the history of this host", labels=("command", "result")
        )
        for (command, fine), count in self._history.run_counts.items():
            family.add_metric([encodable(command), "ok" if fine else "failed"], count)
        return family


def _is_known(node: NodeState) -> bool:
    return node.condition is not Condition.UNKNOWN


def _gauge(name: str, about: str, values: list[tuple[NodeState, float]]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=("node",))
    for node, value in values:
        family.add_metric([node.name], value)
    return family


def metrics_application(
    testbed: Testbed, history: HistoryProbe, names: Collection[str]
) -> ASGIFramework:
    """What answers Prometheus, and nobody who has come under a name that is not ours."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(testbed, history))
    ProcessCollector(registry=registry)
    exposition = make_asgi_app(registry)

    async def application(
        scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        if scope["path"] in PATHS:
            # its headers are decoded there
            told = [(name, value) for name, value in scope["headers"] if value.isascii()]
            await exposition({**scope, "headers": told}, receive, binding(send))
        else:
            await answer(scope, send, 404, TEXT, b"there is /metrics\n")

    return ReadersOnly(application, names)


class MetricsFace:
    """Serves the metrics; they are made when they are asked for, so no change has to be told."""

    def __init__(
        self,
        testbed: Testbed,
        history: HistoryProbe,
        listening: socket.socket,
        names: Collection[str],
    ) -> None:
        """``listening`` is ours from now on."""
        application = metrics_application(testbed, history, names)
        self._server = WebServer(application, listening, CONNECTIONS)

    def take(self, at: float, before: NodeState, after: NodeState) -> None:
        """The state is looked at when somebody asks."""

    def take_leases(self, at: float, problem: str) -> None:
        """As for the nodes."""

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._server.run()

    def end(self, patience_s: float) -> str | None:
        """Nobody is told."""
        del patience_s
        return None
