"""Containers under the packages: an engine of the distribution's beside the agent, and one job across an upgrade."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.conftest import NEXT_VERSION, Built
from tests.packages.jobs import (
    AGENT,
    CONFIG,
    LONG_JOB,
    assert_ended_whole,
    begin,
    end,
    launch,
    output,
    run_job,
)
from tests.packages.machine import Machine, machine_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(900)]

BUSYBOX = Path("/bin/busybox")
IMAGE = "localhost/box:1"
IN_CONTAINER = f"--resource local-container --docker-image {IMAGE}"


@pytest.fixture(scope="module")
def engine_machine(
    serving_tree: Path, engine_packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """A machine on which agent, server and an engine run; the agent takes containers, too."""
    with machine_of(serving_tree, tmp_path_factory.mktemp("engine") / "tree", runs_containers=True) as machine:
        shutil.copytree(engine_packages, machine.tree / "engine")
        machine.run("DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends /engine/*.deb")
        shutil.copy(BUSYBOX, machine.tree / "root/busybox")
        machine.run(
            "mkdir -p box/bin box/tmp && mv busybox box/bin && for name in sh sleep touch; do"
            f" ln -s busybox box/bin/$name; done && tar -C box -c . | docker import - {IMAGE}"
        )
        machine.run(f"sed -i 's/^    #resources: /    resources: /' {CONFIG} && systemctl reload {AGENT}")
        yield machine


def test_a_container_is_a_job(engine_machine: Machine) -> None:
    item = engine_machine.run(f"launchd launch {IN_CONTAINER} -- sh -c 'echo in a box; exit 7'", check=False)

    assert "exit code 7" in item.stderr
    assert output(engine_machine, item.stdout.split()[1]) == ["in a box"]
    wait_until(lambda: engine_machine.says("docker ps --all --quiet") == "", 20.0, "the container was removed")


def test_a_process_has_a_control_group_below_the_unit_of_jobs(engine_machine: Machine) -> None:
    (group,) = run_job(engine_machine, "cat /proc/self/cgroup")[-1:]

    assert group.startswith("0::/system.slice/launch-agent-jobs.service/")


def test_running_jobs_notice_nothing_of_an_upgrade(engine_machine: Machine, built_next: Built) -> None:
    item, process = begin(engine_machine)
    boxed = launch(engine_machine, LONG_JOB, IN_CONTAINER)
    wait_until(lambda: output(engine_machine, boxed)[1:], 30.0, "the container ran")
    container = engine_machine.says("docker ps --no-trunc --quiet")
    pid = output(engine_machine, boxed)[0]

    engine_machine.install(built_next.debs)

    assert engine_machine.says("launchd --version").endswith(NEXT_VERSION)
    assert engine_machine.says("docker ps --no-trunc --quiet") == container != ""
    end(engine_machine, item, process)
    engine_machine.run(f"docker exec {container} touch /tmp/end")
    assert_ended_whole(engine_machine, boxed, pid)
