"""The whole model: a server, two agents, their workloads, users, and a network between them."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ipc.states import JobState
from launchd.agent.journal import JOURNAL_FILE
from tests.support.controller_harness import SPEC, ManualClock
from tests.unit.model.agent import AgentUnderTest
from tests.unit.model.network import Fate, Network, Request
from tests.unit.model.promises import Promises
from tests.unit.model.server import Copy, ServerUnderTest
from tests.unit.model.world import World

#: Waits in which everything comes to its end once nothing fails any more.
ROUNDS = 24

#: After so many leases and silences are let pass too.
PATIENT_ROUNDS = 4

#: What follows from an answer goes on meanwhile.
STEADY_ROUNDS = 4

_MEMORY = Path("/dev/shm")


@dataclass
class JournalCopy:
    """The journal of an agent as it was at some time, and the items in it."""

    journal: bytes
    items: set[str]


@dataclass
class LeaseModel:
    """Everything that may happen, one thing at a time."""

    names: tuple[str, ...] = ("a", "b")
    pushed: list[str] = field(default_factory=list)
    network: Network = field(default_factory=Network)
    database_copy: Copy | None = None
    journal_copies: dict[str, JournalCopy] = field(default_factory=dict)
    #: Is told what happens.
    note: Callable[[str], object] = lambda _: None

    def __post_init__(self) -> None:
        # Durability is not what this is about, and a disk is slow.
        where = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        self._directory = tempfile.TemporaryDirectory(prefix="lease-model-", dir=where)
        self.server, self.world, self.clock = ServerUnderTest(), World(self.note), ManualClock()
        self.promises = Promises(self)
        self.server.on_leased = self.promises.note_leased
        self.agents = []
        for name in self.names:
            directory = Path(self._directory.name) / name
            directory.mkdir()
            self.agents.append(AgentUnderTest(name, directory, self.server, self.world, self.clock))
        for agent in self.agents:
            agent.start()

    def close(self) -> None:
        for agent in self.living():
            agent.crash()
        self.world.close()
        self.server.close()
        self._directory.cleanup()

    def living(self) -> list[AgentUnderTest]:
        """The agents that have a process."""
        return [agent for agent in self.agents if agent.process is not None]

    def holder_of(self, item_id: str) -> AgentUnderTest | None:
        """The agent that has an item: as a job, or with an outcome that the server has not taken."""
        return next((agent for agent in self.agents if agent.has(item_id)), None)

    # -- users

    def push(self, **spec: Any) -> str:
        """Put an item into the queue."""
        item = self.server.push(SPEC | {"run_id": f"run{len(self.pushed)}"} | spec)
        self.pushed.append(item)
        return item

    # -- the network

    def requests(self, agent: AgentUnderTest) -> list[Request]:
        """The open requests of an agent."""
        return agent.process.link.requests() if agent.process is not None else []

    def decide(self, agent: AgentUnderTest, request: Request, fate: Fate) -> None:
        """Let something become of a request, and the agent act on it."""
        assert agent.process is not None
        has_answer = self.network.decide(request, fate)
        self.note(f"{request} {fate}: {request.last_answer}")
        if has_answer:
            agent.process.link.answered(request)
            agent.turn()

    def find(self, agent: AgentUnderTest, what: str) -> Request:
        """The open request of an agent whose description has this word."""
        return next(request for request in self.requests(agent) if what in request.what)

    def answer(self, agent: AgentUnderTest, what: str, fate: Fate = Fate.ANSWERED) -> None:
        """Let something become of the request with this word."""
        self.decide(agent, self.find(agent, what), fate)

    # -- time and progress

    def wait(self, seconds: float) -> None:
        """Let time pass for all."""
        self.clock.advance(seconds)
        self.server.advance(seconds)
        for agent in self.living():
            agent.tick()

    def round(self, *agents: AgentUnderTest) -> None:
        """Have every open request answered and every worker go on, of these agents or of all."""
        for agent in agents or self.living():
            for thread in [request.thread for request in self.requests(agent)]:
                request = next((one for one in self.requests(agent) if one.thread == thread), None)
                if request is not None:
                    self.decide(agent, request, Fate.ANSWERED)
            if agent.process is not None:
                agent.step_all()

    # -- copies

    def restore_database(self) -> None:
        """Put the copy of the database in place."""
        assert self.database_copy is not None
        before = self.server.items()
        self.server.restart(self.database_copy)
        self.promises.note_database_restored(self.database_copy, before)

    def copy_journal(self, agent: AgentUnderTest) -> None:
        """Copy the journal of an agent."""
        self.journal_copies[agent.name] = JournalCopy(agent.copy_journal(), agent.items_on_disk())

    def restore_journal(self, agent: AgentUnderTest, *, keep_directories: bool) -> None:
        """Have an agent start over an earlier copy of its journal."""
        copy = self.journal_copies[agent.name]
        if agent.process is not None:
            agent.crash()
        items = agent.items_on_disk() | copy.items
        agent.restore_journal(copy.journal, keep_directories=keep_directories)
        self.promises.note_journal_restored(agent, items, kept_directories=keep_directories)
        agent.start()

    def copy_agent(self, agent: AgentUnderTest) -> AgentUnderTest:
        """Return an agent over a copy of a state directory, without those of jobs, on another host."""
        directory = Path(self._directory.name) / f"copy {len(list(Path(self._directory.name).iterdir()))}"
        directory.mkdir()
        (directory / JOURNAL_FILE).write_bytes(agent.copy_journal())
        return AgentUnderTest("copy", directory, self.server, self.world, self.clock)

    def start_elsewhere(self, agent: AgentUnderTest, rounds: int) -> None:
        """Start a copy of the state directory of a living agent for a while."""
        copy, before = self.copy_agent(agent), len(self.world.workloads)
        copy.start()
        for _ in range(rounds):
            for request in self.requests(copy):
                self.decide(copy, request, Fate.ANSWERED)
            copy.step_all()
        assert len(self.world.workloads) == before, "a copy runs what the agent has"
        assert copy.last_id is None, "two living agents are one"
        copy.crash()

    # -- the end

    def settle(self) -> None:
        """Let nothing fail any more, and check that everything comes to its end."""
        for agent in self.agents:
            agent.clear_disk()
            if agent.process is None:
                agent.start()
        while self.network.copies:
            self.network.deliver_copy(0)
        self._run_until(self._stops_are_done, "a stop has no effect")
        for workload in self.world.running():
            workload.end(JobState.FINISHED)
        self._run_until(self._is_settled, "something does not come to its end")

    def _run_until(self, is_done: Any, problem: str) -> None:
        for number in range(ROUNDS):
            if is_done():
                return
            for _ in range(STEADY_ROUNDS):
                self.round()
                self.promises.check()
            if number == ROUNDS // 2:
                self._do_what_people_may()
            self.wait(1.0 if number < PATIENT_ROUNDS else 61.0)
            self.promises.check()
        raise AssertionError(f"{problem}: {self.describe()}")

    def _do_what_people_may(self) -> None:
        for agent in self.living():
            agent.retry_dead_letters()

    def _stops_are_done(self) -> bool:
        return all(row.is_over for row in self.server.items().values() if row.stop_requested)

    def _is_settled(self) -> bool:
        for workload in self.world.running():
            # Some begin only now.
            workload.end(JobState.FINISHED)
        return all(row.is_over for row in self.server.items().values()) and all(
            agent.is_idle for agent in self.living()
        )

    def describe(self) -> str:
        """All that may explain a failure."""
        lines = [str(row) for row in self.server.items().values()]
        lines += [f"{agent.name}: {agent.describe()}" for agent in self.living()]
        lines += [str(workload) for workload in self.world.workloads]
        lines += [f"{item}: {why}" for item, why in self.promises.excused.items()]
        return "\n  ".join(lines)
