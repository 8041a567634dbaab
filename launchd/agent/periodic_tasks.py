"""What the supervisor does again and again. Main thread only.

Decides when a task is due. What it does is its part's; an error of one costs that one alone.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from launchd.agent.barrier import Barrier

#: How often a task is done that says nothing else, in seconds; the loop turns at least as often.
TICK_SECONDS = 1.0


class Task(NamedTuple):
    """``action`` is done about every ``seconds``; ``name`` stands in the log where it raises."""

    name: str
    action: Callable[[], None]
    seconds: float = TICK_SECONDS


class PeriodicTasks:
    """The tasks of one agent, done in their order."""

    def __init__(self, barrier: Barrier, tasks: Sequence[Task], now: Callable[[], float] = time.monotonic) -> None:
        self._barrier = barrier
        self._now = now
        # At the start, jobs come before what is not done in every second.
        start = now()
        self._due_at = {task: start + task.seconds if task.seconds > TICK_SECONDS else start for task in tasks}

    def tick(self) -> None:
        """Do what is due."""
        now = self._now()
        for task, due_at in self._due_at.items():
            if now >= due_at:
                self._due_at[task] = now + task.seconds
                with self._barrier.around(task.name):
                    task.action()
