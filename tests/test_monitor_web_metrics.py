"""The metrics, read by the parser of Prometheus's own library."""

from pathlib import Path

import httpx
import trio
from prometheus_client.parser import text_string_to_metric_families

from imaging.feedback.wording import encodable
from imaging.monitor.observations import (
    ImageSeen,
    LoadedImage,
    Power,
    PowerSeen,
    Ramdisk,
    ReachSeen,
    Ssh,
    System,
)
from imaging.monitor.records import HistoryProbe
from imaging.monitor.testbed import Testbed
from imaging.monitor.web.address import listen, parse_place, url_of
from imaging.monitor.web.metrics import MetricsFace


def filled_testbed() -> Testbed:
    testbed = Testbed.of(["fit01", "fit02", "fit03"])
    system = System('quoted "x" \\ and\nnewline', "3.17", booted=140.0)
    for seen in (
        PowerSeen(1.0, "fit01", Power.OFF),
        PowerSeen(100.0, "fit01", Power.ON),
        ReachSeen(131.5, "fit01", Ssh.UP, Ramdisk.ABSENT, system=system),
        ImageSeen(1.0, "fit01", LoadedImage("bad \udcff", 1.0, "me")),
        PowerSeen(1.0, "fit02", Power.NO_CMC, "dead"),
        ReachSeen(1.0, "fit02", Ssh.CLOSED, Ramdisk.UP),
    ):
        testbed.fold(seen)
    return testbed


async def check_leases(testbed: Testbed, client: httpx.AsyncClient, url: str) -> None:
    testbed.leases_problem = ""
    assert "imaging_leases_known 1.0" in (await client.get(f"{url}metrics")).text
    testbed.leases_problem = None  # there are none
    assert "imaging_leases_known" not in (await client.get(f"{url}metrics")).text


async def check_requests(client: httpx.AsyncClient, url: str) -> None:
    assert (await client.get(f"{url}other")).status_code == 404
    odd = await client.get(f"{url}metrics", headers={b"Accept": b"\xff"})
    assert odd.status_code == 200
    evil = await client.get(f"{url}metrics", headers={"Host": "evil.example"})
    assert evil.status_code == 421


async def test_the_metrics_of_nodes_and_runs() -> None:
    testbed = filled_testbed()
    testbed.leases_problem = "out of reach"
    history = HistoryProbe(Path("nowhere"), [], lambda _: None)
    history.run_counts = {("imaging-load", True): 7, ("imaging-load", False): 2}
    listening = listen("--prometheus", parse_place("--prometheus", "0"))
    url = url_of(listening)
    face = MetricsFace(testbed, history, listening, ())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(face.run)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{url}metrics")
            await check_leases(testbed, client, url)
            await check_requests(client, url)
        nursery.cancel_scope.cancel()
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.get_list("content-type")[0].startswith("text/plain; version=")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["imaging_node_up", "fit01"] == 1
    assert samples["imaging_node_up", "fit02"] == 0
    assert ("imaging_node_up", "fit03") not in samples  # not known yet
    assert samples["imaging_node_power", "fit01"] == 1
    assert ("imaging_node_power", "fit02") not in samples  # its card does not say
    assert samples["imaging_node_cmc", "fit02"] == 0
    assert samples["imaging_node_ssh", "fit01"] == 1
    assert samples["imaging_node_ssh", "fit02"] == 0
    assert samples["imaging_node_ramdisk", "fit02"] == 1
    assert samples["imaging_node_boot_seconds", "fit01"] == 31.5
    assert samples["imaging_nodes", "up"] == 1
    assert samples["imaging_nodes", "unknown"] == 1
    assert samples["imaging_runs_total", "imaging-load", "ok"] == 7
    assert samples["imaging_runs_total", "imaging-load", "failed"] == 2
    assert samples["imaging_leases_known",] == 0
    assert samples["process_open_fds",] > 0
    assert (
        "imaging_node_info",
        encodable("bad \udcff"),
        "3.17",
        "fit01",
        'quoted "x" \\ and\nnewline',
    ) in samples
