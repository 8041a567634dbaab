"""What is done again and again: when it is due, and that an error of one task costs that one alone."""

import pytest

from launchd.agent.barrier import Barrier
from launchd.agent.errors import AgentBroken
from launchd.agent.periodic_tasks import TICK_SECONDS, PeriodicTasks, Task
from tests.support.controller_harness import ManualClock


class Done:
    """Notes which tasks were done; one that is ``broken`` raises."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.broken: dict[str, Exception] = {}

    def task(self, name: str, seconds: float = TICK_SECONDS) -> Task:
        return Task(name, lambda: self._do(name), seconds)

    def _do(self, name: str) -> None:
        self.names.append(name)
        if name in self.broken:
            raise self.broken[name]

    def take(self) -> list[str]:
        names, self.names = self.names, []
        return names


@pytest.fixture
def done() -> Done:
    return Done()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tasks(done: Done, clock: ManualClock) -> PeriodicTasks:
    listed = [done.task("often"), done.task("seldom", 5.0), done.task("last")]
    return PeriodicTasks(Barrier(AgentBroken), listed, clock.monotonic)


def test_each_is_done_when_it_is_due_and_what_is_seldom_not_at_the_start(
    tasks: PeriodicTasks, done: Done, clock: ManualClock
) -> None:
    tasks.tick()
    tasks.tick()
    assert done.take() == ["often", "last"]
    for _ in range(4):
        clock.advance(1.0)
        tasks.tick()
    assert done.take() == ["often", "last"] * 4
    clock.advance(1.0)
    tasks.tick()
    assert done.take() == ["often", "seldom", "last"]


def test_an_error_costs_its_task_alone(tasks: PeriodicTasks, done: Done, clock: ManualClock) -> None:
    done.broken = {"often": ValueError("wrong")}
    tasks.tick()
    clock.advance(1.0)
    tasks.tick()
    assert done.take() == ["often", "last", "often", "last"]
    done.broken = {"often": AgentBroken("a part has ended")}
    clock.advance(1.0)
    with pytest.raises(AgentBroken):
        tasks.tick()
