"""Random histories of agents and server together: no job is lost, forgotten, doubled or told wrongly, whatever fails.

The store, the resolvers, the job controllers and their journals are the real ones. The network loses, delays, repeats
and refuses; agents die; their journals, and the server's database, are replaced by earlier copies.
"""

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ipc.exits import WorkerExit
from ipc.states import JobState
from tests.support.long_tests import SHORT_EXAMPLES
from tests.unit.model.agent import AgentUnderTest
from tests.unit.model.model import LeaseModel
from tests.unit.model.network import Fate

MOST_ITEMS = 4
STEPS = 50
SHORT_HISTORIES, LONG_HISTORIES = 12, 250
IS_SHORT = settings.default.max_examples == SHORT_EXAMPLES

numbers = st.integers(0, 5)
agents = st.integers(0, 1)


class LeaseHistories(RuleBasedStateMachine):
    """Two agents at one queue, and everything that may happen to them in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.model = LeaseModel(note=note)

    def teardown(self) -> None:
        try:
            self.model.settle()
        finally:
            self.model.close()

    def _agent(self, number: int) -> AgentUnderTest:
        return self.model.agents[number]

    # -- users

    @precondition(lambda self: len(self.model.pushed) < MOST_ITEMS)
    @rule()
    def an_item_is_pushed(self) -> None:
        self.model.push()

    @precondition(lambda self: self.model.pushed)
    @rule(number=numbers)
    def a_stop_is_requested(self, number: int) -> None:
        self.model.server.stop(self.model.pushed[number % len(self.model.pushed)], "no longer needed")

    # -- what goes well

    @rule(rounds=st.integers(1, 4))
    def all_goes_well(self, rounds: int) -> None:
        for _ in range(rounds):
            self.model.round()
            self.model.promises.check()

    @rule(agent=agents, rounds=st.integers(1, 4))
    def all_goes_well_for_one(self, agent: int, rounds: int) -> None:
        if self._agent(agent).process is not None:
            for _ in range(rounds):
                self.model.round(self._agent(agent))
                self.model.promises.check()

    @rule(agent=agents, number=numbers)
    def a_worker_goes_on(self, agent: int, number: int) -> None:
        process = self._agent(agent).process
        if process is not None and process.pool.busy:
            self._agent(agent).step(list(process.pool.busy)[number % len(process.pool.busy)])

    @precondition(lambda self: self.model.world.running())
    @rule(number=numbers, state=st.sampled_from([JobState.FINISHED, JobState.FINISHED, JobState.FAILED]))
    def a_workload_ends(self, number: int, state: JobState) -> None:
        running = self.model.world.running()
        running[number % len(running)].end(state)

    # -- the network

    @rule(agent=agents, number=numbers, fate=st.sampled_from([Fate.ANSWERED, *Fate]))
    def something_becomes_of_a_request(self, agent: int, number: int, fate: Fate) -> None:
        requests = self.model.requests(self._agent(agent))
        if requests:
            self.model.decide(self._agent(agent), requests[number % len(requests)], fate)

    @precondition(lambda self: self.model.network.copies)
    @rule(number=numbers)
    def a_copy_arrives(self, number: int) -> None:
        self.model.network.deliver_copy(number)

    @rule(seconds=st.sampled_from([1.0, 61.0, 130.0]))
    def time_passes(self, seconds: float) -> None:
        self.model.wait(seconds)

    # -- deaths

    @rule(agent=agents, number=numbers, code=st.sampled_from([-9, WorkerExit.UNKNOWN, WorkerExit.CRASHED]))
    def a_worker_dies(self, agent: int, number: int, code: int) -> None:
        process = self._agent(agent).process
        if process is not None and process.pool.busy:
            self._agent(agent).lose_worker(list(process.pool.busy)[number % len(process.pool.busy)], code)

    @rule(agent=agents, creates=st.booleans(), arrives=st.booleans())
    def an_agent_dies(self, agent: int, creates: bool, arrives: bool) -> None:
        if self._agent(agent).process is not None:
            if arrives:
                # What it had sent arrives some time.
                self.model.network.copies += self.model.requests(self._agent(agent))
            self._agent(agent).crash(creates=creates)

    @rule(agent=agents)
    def an_agent_starts(self, agent: int) -> None:
        if self._agent(agent).process is None:
            self._agent(agent).start()

    @rule(agent=agents)
    def a_disk_fills_or_is_cleared(self, agent: int) -> None:
        if self._agent(agent).writable:
            self._agent(agent).fill_disk()
        else:
            self._agent(agent).clear_disk()

    @rule()
    def the_server_is_restarted(self) -> None:
        self.model.server.restart()

    # -- restored copies

    @rule()
    def the_database_is_copied(self) -> None:
        self.model.database_copy = self.model.server.copy()

    @precondition(lambda self: self.model.database_copy)
    @rule()
    def the_database_is_restored(self) -> None:
        self.model.restore_database()

    @rule(agent=agents)
    def a_journal_is_copied(self, agent: int) -> None:
        self.model.copy_journal(self._agent(agent))

    @rule(agent=agents, keep=st.booleans())
    def a_journal_is_restored(self, agent: int, keep: bool) -> None:
        if self._agent(agent).name in self.model.journal_copies:
            self.model.restore_journal(self._agent(agent), keep_directories=keep)

    @rule(agent=agents, rounds=st.integers(1, 8))
    def a_state_directory_is_started_elsewhere(self, agent: int, rounds: int) -> None:
        original = self._agent(agent)
        if original.process is not None:
            self.model.round(original)
        # A silent agent is succeeded; the answer of this round may be to a request from long before.
        if original.is_registered and self.model.server.is_living(original.last_id):
            self.model.start_elsewhere(original, rounds)

    # -- what holds

    @invariant()
    def promises_are_kept(self) -> None:
        self.model.promises.check()


# Many steps: on a busy machine they take longer than a test usually may.
TestLeaseHistories = pytest.mark.timeout(600)(LeaseHistories.TestCase)
TestLeaseHistories.settings = settings(
    # A short run walks the same histories each time; what is new is found by a long one.
    derandomize=IS_SHORT,
    max_examples=SHORT_HISTORIES if IS_SHORT else LONG_HISTORIES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
