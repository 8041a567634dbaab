"""The figures of a real agent and of its queue server, as Prometheus would read them, and that they move."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ipc.states import JobState
from launchd.agent.measures import METRICS as AGENT_METRICS
from launchd.metrics.model import Kind, Metric
from launchd.server.measures import METRICS as SERVER_METRICS
from tests.support.server import Account, running_server
from tests.support.testbed import ROOT, Testbed, make_testbed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(120)

Samples = dict[tuple[str, tuple[str, ...]], float]

#: Of these there is nothing on a host without GPUs, and where nothing was built.
WITHOUT_SAMPLES = {
    *("launchd_agent_gpu_leased", "launchd_agent_gpu_utilisation_ratio", "launchd_agent_gpu_memory_used_bytes"),
    *("launchd_agent_gpu_memory_bytes", "launchd_agent_builds_total"),
}


def scrape(path: Path) -> Samples:
    """The figures at a unix socket, by name and the values of the labels in the order of their names."""
    client = http.client.HTTPConnection("localhost")
    client.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.sock.settimeout(20)
    with closing(client):
        client.sock.connect(str(path))
        client.request("GET", "/metrics")
        response = client.getresponse()
        text = response.read().decode()
    assert response.status == 200, text
    return read(text)


def read(text: str) -> Samples:
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def assert_complete(samples: Samples, metrics: tuple[Metric, ...]) -> None:
    names = {name for name, _ in samples}
    wanted = {f"{one.name}_count" if one.kind is Kind.HISTOGRAM else one.name: one for one in metrics}
    assert {name for name in wanted if name not in names} <= WITHOUT_SAMPLES


@pytest.fixture
def sockets(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "agent.sock", tmp_path / "server.sock"


@pytest.fixture
def testbed(tmp_path: Path, sockets: tuple[Path, Path]) -> Iterator[Testbed]:
    agent, server_socket = sockets
    with (
        running_server(tmp_path, "--metrics-listen", f"unix:{server_socket}") as server,
        closing(Testbed(tmp_path, server, max_jobs=2, launchd={"metrics": {"listen": f"unix:{agent}"}})) as testbed,
    ):
        testbed.start_agent()
        wait_until(lambda: answers(agent), 20, "the agent's metrics")
        yield testbed


def exporters(testbed: Testbed) -> list[psutil.Process]:
    assert testbed.agent is not None
    children = psutil.Process(testbed.agent.pid).children()
    return [child for child in children if is_exporter(child)]


def is_exporter(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        # A dead one that is not reaped yet has no command line.
        return "launchd: metrics" in process.cmdline()
    return False


def test_the_figures_of_agent_and_server_move_with_a_job(testbed: Testbed, sockets: tuple[Path, Path]) -> None:
    agent, server = sockets
    before = scrape(agent)
    assert before[("launchd_agent_jobs", ("default", "running"))] == 0
    assert before[("launchd_agent_slots", ("job",))] == 2

    sleeping = testbed.push("/bin/sleep", "60")
    wait_until(lambda: scrape(agent)[("launchd_agent_jobs", ("default", "running"))] == 1, what="a running job")
    held = scrape(server)
    testbed.ask(command="stop", item=sleeping, reason="enough")
    failing = testbed.push("/bin/false")
    testbed.wait_over([sleeping, failing])

    def is_counted() -> Samples | None:
        seen = scrape(agent)
        ended = [
            seen.get(("launchd_agent_jobs_ended_total", (outcome, "default"))) for outcome in ("stopped", "failed")
        ]
        return seen if ended == [1, 1] else None

    after = wait_until(is_counted, what="two jobs that ended")
    assert_complete(after, AGENT_METRICS)
    assert after[("launchd_agent_slots_used", ("job",))] == 0
    assert after[("launchd_agent_mode", ("polling",))] == after[("launchd_agent_server_reachable", ())] == 1
    assert after[("launchd_agent_pickup_seconds_count", ("default",))] == 2
    assert after[("launchd_agent_phase_seconds_count", (JobState.RUNNING,))] >= 1
    assert after[("launchd_agent_poll_seconds_count", ("items",))] == 2
    assert 2**20 < after[("launchd_agent_resident_memory_bytes", ())] < 2**27

    assert_complete(read(printed(testbed)), AGENT_METRICS)

    claimed = ("launchd_server_items", (testbed.entity, "default", "claimed"))
    counted = wait_until(lambda: claimed not in (seen := scrape(server)) and seen, what="a new count")
    assert_complete(held | counted, SERVER_METRICS)
    assert held[claimed] == 1
    # Its next heartbeat says that it has a job.
    assert sum(held.get(("launchd_server_agents", (status,)), 0) for status in ("polling", "running")) == 1
    assert counted[("launchd_server_item_wait_seconds_count", ())] == 2
    assert counted[("launchd_server_claim_seconds_count", ())] >= 2
    assert counted[("launchd_server_requests_total", ("pushToRunQueueByName", "200"))] == 2
    assert counted[("launchd_server_database_seconds_count", ("write",))] > 2
    assert counted[("launchd_server_leases_ended_total", ())] == 0


def test_a_lost_worker_is_counted_by_its_cause(testbed: Testbed, sockets: tuple[Path, Path]) -> None:
    item = testbed.push("/bin/sleep", "60")
    wait_until(lambda: testbed.phase(item) == JobState.RUNNING, 20, "a running job")

    os.kill(testbed.job(item)["worker_pid"], signal.SIGKILL)

    deaths = ("launchd_agent_worker_deaths_total", ("signal",))
    wait_until(lambda: scrape(sockets[0])[deaths] == 1, what="the death was counted")
    testbed.ask(command="stop", item=item, reason="enough")
    testbed.wait_over([item])


def test_what_serves_the_figures_can_do_nothing_else_and_leaves_with_the_agent(
    testbed: Testbed, sockets: tuple[Path, Path]
) -> None:
    agent, _ = sockets
    (exporter,) = wait_until(lambda: exporters(testbed), what="the process")
    scrape(agent)
    assert not {name for name in exporter.environ() if name.startswith(("WANDB", "LAUNCHD"))}
    if os.geteuid() == 0:
        assert set(exporter.uids()) == set(exporter.gids()) == {65534}

    exporter.kill()
    another = wait_until(lambda: [one for one in exporters(testbed) if one.pid != exporter.pid], 20, "another process")
    wait_until(lambda: answers(agent), what="the figures are served again")

    assert testbed.agent is not None
    testbed.agent.kill()
    another[0].wait(10)
    testbed.start_agent()
    wait_until(lambda: answers(agent), 20, "the next agent serves them")
    (last,) = exporters(testbed)
    assert testbed.agent.terminate() == 0
    with suppress(psutil.NoSuchProcess):
        last.wait(10)


def answers(path: Path) -> bool:
    try:
        return bool(scrape(path))
    except OSError:
        return False


def printed(testbed: Testbed) -> str:
    """What `launchd metrics` prints."""
    command = [sys.executable, "-m", "launchd", "metrics", "-c", str(testbed.config_path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_an_agent_without_the_library_runs_and_says_so(tmp_path: Path, account: Account) -> None:
    """The library is hidden by a file that says it cannot be found."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.machinery as m\n"
        "found = m.PathFinder.find_spec\n"
        "m.PathFinder.find_spec = classmethod(lambda cls, name, *more:"
        " None if name == 'prometheus_client' else found(name, *more))\n"
    )
    launchd = {"metrics": {"listen": f"unix:{tmp_path}/agent.sock"}}
    with make_testbed(tmp_path, account, max_jobs=1, launchd=launchd) as testbed:
        testbed.start_agent(PYTHONPATH=f"{hidden}:{ROOT}")
        item = testbed.push("/bin/true")
        assert testbed.wait_over([item])[0].state == "FINISHED"
        assert (
            "Metrics are not served: Prometheus' library for Python is not installed" in testbed.agent_log.read_text()
        )
        assert not (tmp_path / "agent.sock").exists()
