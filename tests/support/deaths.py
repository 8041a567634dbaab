"""Jobs of any target while one process dies at a failpoint: what the kill matrices of all targets have in common."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.failpoints import ACTIONS, FAILPOINTS
from launchd.client.queue_server import Item
from tests.support.testbed import AgentProcess, Testbed
from tests.support.waiting import wait_until

Push = Callable[[float], str]
Start = Callable[..., AgentProcess]

#: Failpoints that are about a job at any target; those of the shim are a local process's, others a build's.
OF_ANY_TARGET = [name for name in FAILPOINTS if not name.startswith(("shim.", "pod_build."))]
#: The failpoint of the supervisor that is about no single job: an error there ends the supervisor.
ADOPTING = "supervisor.adopting"


def deaths(short: tuple[str, ...]) -> Iterator[Any]:
    """Yield failpoint and action of each death; the short run has kills at ``short`` alone."""
    assert set(short) <= set(OF_ANY_TARGET)
    for failpoint in OF_ANY_TARGET:
        for action in ACTIONS:
            marks = [] if failpoint in short and action == "kill" else [pytest.mark.long]
            yield pytest.param(failpoint, action, marks=marks, id=f"{failpoint}-{action}")


def is_contained(failpoint: str, action: str) -> bool:
    """Whether the supervisor survives: an error over one job fails that job at the most."""
    return action == "raise" and failpoint.startswith("supervisor.") and failpoint != ADOPTING


def keep_agent_alive(
    opened: Testbed,
    agent: AgentProcess,
    environ: dict[str, str],
    fired: Path,
    *,
    contained: bool,
    start: Start | None = None,
    patience: float = 20.0,
) -> None:
    """Do what systemd does when the failpoint hits the supervisor itself; it fires within ``patience`` seconds."""
    wait_until(fired.exists, timeout=patience, what=f"the failpoint {fired.name}")
    if contained or not fired.name.startswith("supervisor."):
        return
    wait_until(lambda: agent.exit_code() is not None or agent.is_stopped(), what="the supervisor died or hung")
    agent.kill()
    (start or opened.start_agent)(**environ)


def run_with_a_death(
    opened: Testbed, failpoint: str, action: str, push: Push, start: Start | None = None, patience: float = 20.0
) -> list[Item]:
    """Run jobs of some lengths, in seconds, while the process that reaches ``failpoint`` dies there, once.

    Returns how they ended: well, but for one whose error was contained, which has failed and says so.
    """
    begin = start or opened.start_agent
    fired = opened.directory / "fired"
    fired.mkdir()
    armed = {"LAUNCHD_FAILPOINTS": f"{failpoint}={action}", "LAUNCHD_FAILPOINTS_ONCE": str(fired)}
    items = []
    if failpoint == ADOPTING:
        first = begin()
        items = [push(1.0)]
        wait_until(lambda: opened.phase(items[0]) == "running", 30, "the job runs")
        first.kill()
    agent = begin(**armed)
    items += [push(seconds) for seconds in (0.0, 0.7)]
    contained = is_contained(failpoint, action)
    keep_agent_alive(opened, agent, armed, fired / failpoint, contained=contained, start=begin, patience=patience)
    over = opened.wait_over(items, timeout=60)
    for item in over:
        failed = contained and f"FailpointReached: failpoint {failpoint}" in (item.message or "")
        assert item.state == ("FAILED" if failed else "FINISHED"), item.message
    wait_until(lambda: opened.outbox() == 0, what="the outbox is empty")
    return over


def assert_said_once(opened: Testbed, items: list[Item]) -> None:
    """The log says of each job once that it is over."""
    lines = [line for line in opened.log().splitlines() if "A job is over." in line]
    for item in items:
        assert sum(item.id in line for line in lines) == 1


def assert_started_once(workloads: Iterable[str]) -> None:
    """The attempts of a job differ in the last part of their names; one alone may have run."""
    jobs = [name.rpartition("-")[0] for name in workloads]
    assert sorted(jobs) == sorted(set(jobs))
