"""The sandbox of the agent's unit, which is its jobs' too: what is closed is tried, what is open is needed by a job."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages import sandbox_probe
from tests.packages.jobs import AGENT, CONFIG, output
from tests.packages.machine import Machine, machine_of

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(900)]

#: What the attempts find on the machine; the modules' directory has to be there when the unit starts.
PREPARED = """
cp /usr/bin/id /srv/who; chmod 4755 /srv/who
touch /srv/data; chown 1234 /srv/data; mkdir -m 1777 /srv/disk
echo x > /home/data; echo x > /tmp/beside
mkdir -p /run/udev /usr/lib/modules; touch /usr/lib/modules/module
mknod -m 666 /dev/fake-gpu c 1 3
"""
ROOTED = "    queues: {rooted: {run_as_user: root, allow_root_jobs: true}}"


@pytest.fixture(scope="module")
def prepared(serving_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with what the attempts are about, and a queue whose jobs run as root."""
    with machine_of(serving_tree, tmp_path_factory.mktemp("sandbox") / "tree", runs_containers=True) as machine:
        shutil.copy(sandbox_probe.__file__, machine.tree / "srv/probe.py")
        machine.run(PREPARED)
        machine.run("launchd queue create rooted")
        machine.run(f"sed -i 's/^queues: .*/queues: [default, rooted]/; /run_as_users:/a \\{ROOTED}' {CONFIG}")
        machine.run(f"systemctl restart {AGENT}")
        yield machine


@pytest.mark.parametrize(
    ("part", "queue", "expected"),
    [("closed", "default", "fails"), ("closed-to-root", "rooted", "fails"), ("open", "default", "works")],
)
def test_what_a_job_may_do_is_what_the_unit_says(prepared: Machine, part: str, queue: str, expected: str) -> None:
    """Beside the unit, root may do all of it: so it is the unit that decides."""
    beside = prepared.says(f"cd /tmp && python3 /srv/probe.py {part}").splitlines()
    assert [line for line in beside if ": works" not in line] == []

    launched = prepared.says(f"launchd launch --queue {queue} -- python3 /srv/probe.py {part}")
    tried = output(prepared, launched.split()[1])

    assert len(tried) == len(sandbox_probe.PARTS[part])
    assert [line for line in tried if f": {expected}" not in line] == []


def test_what_a_job_mounts_is_seen_by_no_one_else(prepared: Machine) -> None:
    launched = prepared.says("launchd launch -- readlink /proc/self/ns/mnt")

    assert output(prepared, launched.split()[1]) != [prepared.says("readlink /proc/self/ns/mnt")]
