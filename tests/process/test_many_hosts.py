"""Two agents with state directories and host names of their own, at two queue servers over one PostgreSQL.

The host names are real: each agent has a UTS namespace, which needs root.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.postgres import Cluster
from tests.support.server import Account, RunningServer, running_server, stored_in
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.root

HOSTS = ("host-a", "host-b")
#: Becomes the agent, on a host of another name.
RENAMED = ("unshare", "--uts", "sh", "-c", 'echo "$0" > /proc/sys/kernel/hostname; exec "$@"')
SCRIPT = 'echo "$LAUNCHD_JOB_NAME $(cat /proc/sys/kernel/hostname)" >> "$1"; sleep "$2"'

Hosts = tuple[Testbed, Testbed]


@pytest.fixture
def servers(tmp_path: Path, cluster: Cluster) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two servers over one database and one data directory."""
    database = cluster.fresh_database()
    directory = tmp_path / "servers"
    directory.mkdir()
    with (
        stored_in(lambda: database),
        running_server(directory) as one,
        running_server(directory) as other,
    ):
        yield one, other


@pytest.fixture
def hosts(tmp_path: Path, servers: tuple[RunningServer, RunningServer]) -> Iterator[Hosts]:
    """Two agents of one queue, each at a server of its own."""
    with _host(tmp_path, 0, servers[0]) as one, _host(tmp_path, 1, servers[1]) as other:
        yield one, other


def _host(tmp_path: Path, number: int, server: RunningServer) -> AbstractContextManager[Testbed]:
    directory = tmp_path / HOSTS[number]
    directory.mkdir()
    return make_testbed(directory, Account(server.url, server.key, "me"), max_jobs=3)


def start(hosts: Hosts) -> None:
    for name, host in zip(HOSTS, hosts, strict=True):
        host.launcher = (*RENAMED, name)
        host.start_agent()


def push(host: Testbed, runs: Path, seconds: float) -> str:
    return host.push("sh", "-c", SCRIPT, "job", str(runs), str(seconds))


def ran(runs: Path) -> list[tuple[str, str]]:
    """Return workload and host of each start of a job."""
    lines = runs.read_text().splitlines() if runs.exists() else []
    return [(line.split()[0], line.split()[1]) for line in lines]


def test_both_hosts_take_jobs_of_one_queue_and_each_job_runs_once(hosts: Hosts, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    start(hosts)

    items = [push(hosts[number % 2], runs, 0.3) for number in range(16)]

    assert [item.state for item in hosts[0].wait_over(items, 60)] == ["FINISHED"] * len(items)
    assert Counter(Counter(name for name, _ in ran(runs)).values()) == {1: len(items)}
    assert {host for _, host in ran(runs)} == set(HOSTS)
    agents = {host.status()["agent"]["hostname"]: host.status()["agent"]["id"] for host in hosts}
    assert set(agents) == set(HOSTS)
    assert len(set(agents.values())) == len(HOSTS)


@pytest.mark.long
def test_the_jobs_of_a_host_wait_for_its_agent_while_the_other_takes_the_rest(hosts: Hosts, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    start(hosts)
    items = [push(hosts[0], runs, 3) for _ in range(6)]
    wait_until(lambda: len(ran(runs)) == len(items), 40, "all jobs run")

    assert hosts[0].agent is not None
    hosts[0].agent.kill()
    more = [push(hosts[1], runs, 0.1) for _ in range(3)]
    assert [item.state for item in hosts[1].wait_over(more, 40)] == ["FINISHED"] * len(more)
    hosts[0].start_agent()

    assert [item.state for item in hosts[1].wait_over(items, 60)] == ["FINISHED"] * len(items)
    assert Counter(name for name, _ in ran(runs)).most_common(1)[0][1] == 1
    assert Counter(host for name, host in ran(runs)[: len(items)]) == {"host-a": 3, "host-b": 3}


@pytest.mark.long
def test_an_agent_outlives_its_server_and_reports_when_it_is_back(
    hosts: Hosts, servers: tuple[RunningServer, RunningServer], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    start(hosts)
    items = [push(hosts[0], runs, 1) for _ in range(6)]
    wait_until(lambda: len(ran(runs)) == len(items), 40, "all jobs run")

    servers[0].kill()
    done = hosts[1].status
    wait_until(lambda: not done()["jobs"], 40, "the jobs of the other host ended")
    servers[0].start()

    assert [item.state for item in hosts[1].wait_over(items, 60)] == ["FINISHED"] * len(items)
    assert len(ran(runs)) == len(items)
