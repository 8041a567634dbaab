"""What agents and server promise each other, checked over a model; and where they cannot keep it.

A promise is not asked of an item where a restored copy took away what it would need. The reasons stand in
:attr:`Promises.excused`; each is as narrow as what was lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipc.states import JobState
from launchd.server.store.launch.restored import START_PAUSE_SECONDS
from tests.unit.model.agent import AgentUnderTest
from tests.unit.model.server import SETTINGS, Copy, ItemRow

if TYPE_CHECKING:
    from tests.unit.model.model import LeaseModel

#: A heartbeat may be on its way already when an item becomes unknown; after it come two.
HEARTBEATS = 3

OVER = ("FINISHED", "FAILED", "STOPPED")


@dataclass
class Promises:
    """The promises about the items of one model."""

    model: "LeaseModel"
    #: Items of which more may happen than should, with the reason.
    excused: dict[str, str] = field(default_factory=dict)
    #: The end of each item that has one.
    ends: dict[str, str] = field(default_factory=dict)
    #: Agents of which only another process will settle an item.
    #: Items whose end a restored database has forgotten; it is told again.
    _reopened: set[str] = field(default_factory=set)
    #: Items that a restored database has as waiting, and that an agent has.
    _exposed: dict[str, AgentUnderTest] = field(default_factory=dict)
    #: Since which heartbeat a process does not know an item that the server holds as its own, or a stop of it.
    _unknown_since: dict[tuple[int, str, int], int] = field(default_factory=dict)
    _unstopped_since: dict[tuple[int, str, int], int] = field(default_factory=dict)

    def check(self) -> None:
        """Check all that holds at every moment."""
        rows = self.model.server.items()
        self._check_ends(rows)
        self._check_workloads(rows)
        self._check_outcomes(rows)
        for agent in self.model.living():
            self._check_known(agent, rows)
            self._check_stops(agent, rows)

    # -- never two runs; an end is true, and stays

    def _check_ends(self, rows: dict[str, ItemRow]) -> None:
        for row in rows.values():
            if row.is_over and row.id not in self.ends and row.id in self._exposed and row.agent_id is None:
                self.excused.setdefault(
                    row.id, "it was stopped in its queue, and an agent had it that was not heard yet"
                )
            if row.is_over:
                assert self.ends.setdefault(row.id, row.state) == row.state, "the end of an item changed"
                self._reopened.discard(row.id)
            else:
                assert row.id not in self.ends, "an item that had ended goes on"

    def _check_workloads(self, rows: dict[str, ItemRow]) -> None:
        for item in self.model.pushed:
            if item in self.excused:
                continue
            workloads = self.model.world.of_item(item)
            assert len(workloads) <= 1, "an item ran twice"
            row = rows.get(item)
            if row is not None and row.is_over:
                self._check_truth(row, workloads[0].ended if workloads else None, ran=bool(workloads))

    def _check_truth(self, row: ItemRow, end: JobState | None, *, ran: bool) -> None:
        if ran:
            assert end is not None, f"the item is {row.state}, and its workload runs"
        match end:
            case JobState.FINISHED:
                assert row.state == "FINISHED", f"its workload finished, and the item is {row.state}: {row.message}"
            case JobState.FAILED:
                assert row.state == "FAILED", f"its workload failed, and the item is {row.state}"
            case JobState.STOPPED:
                assert row.state in ("STOPPED", "FAILED"), f"its workload was stopped, and the item is {row.state}"
            case _:
                assert row.state != "FINISHED", "the item finished, and nothing ran"
                assert row.state != "STOPPED" or row.stop_requested, "the item was stopped, and no one asked for it"

    # -- no outcome is lost

    def _check_outcomes(self, rows: dict[str, ItemRow]) -> None:
        for agent in self.model.living():
            assert agent.process is not None
            kept = agent.outcomes_kept()
            for job in agent.process.journal.ended_jobs(100):
                row = rows.get(job.item_id)
                is_told = row is None or row.is_over or job.item_id in (*self.excused, *self._reopened)
                is_others = row is not None and (row.agent_id not in agent.agent_ids or row.lease != job.lease)
                assert is_told or is_others or job.item_id in kept or agent.has_uncommitted, (
                    f"the outcome of {job.item_id} is nowhere"
                )

    # -- what the server holds as an agent's is known to it

    def _check_known(self, agent: AgentUnderTest, rows: dict[str, ItemRow]) -> None:
        process = agent.process
        assert process is not None
        is_able = agent.writable and not process.link.is_registering
        for row in rows.values():
            key = (id(process), row.id, row.lease)
            is_held = row.state == "CLAIMED" and row.agent_id == process.link.agent_id
            if is_able and is_held and not agent.knows(row.id):
                since = self._unknown_since.setdefault(key, process.link.heartbeats)
                assert process.link.heartbeats - since <= HEARTBEATS, "a claimed item is unknown to its agent"
            else:
                self._unknown_since.pop(key, None)

    def _check_stops(self, agent: AgentUnderTest, rows: dict[str, ItemRow]) -> None:
        process = agent.process
        assert process is not None
        for row in rows.values():
            key = (id(process), row.id, row.lease)
            active = process.table.get(row.id)
            is_held = row.state in ("LEASED", "CLAIMED") and row.agent_id == process.link.agent_id
            if is_held and row.stop_requested and active is not None and active.job.stop_reason is None:
                since = self._unstopped_since.setdefault(key, process.link.heartbeats)
                assert process.link.heartbeats - since <= HEARTBEATS, "a stop was not heard"
            else:
                self._unstopped_since.pop(key, None)

    # -- what a restored copy takes away

    def note_database_restored(self, copy: Copy, before: dict[str, ItemRow]) -> None:
        """Note what the copy does not know any more."""
        self._exposed.clear()
        for row in before.values():
            after = copy.rows.get(row.id)
            is_waiting = after is not None and after.state in ("PENDING", "LEASED")
            holder = self.model.holder_of(row.id)
            if after is None or not after.is_over:
                ended = self.ends.pop(row.id, None)
                if ended:
                    self._reopened.add(row.id)
                if ended and is_waiting and holder is None:
                    self.excused.setdefault(row.id, "its end was delivered after the copy was made")
            if is_waiting and holder is not None:
                self._exposed[row.id] = holder

    def note_leased(self, items: Sequence[str], agent_id: str) -> None:
        """Note that items were leased: an agent that has them may not have been heard since the restoration."""
        server = self.model.server
        for item in items:
            holder = self._exposed.get(item)
            if holder is None or agent_id in holder.agent_ids:
                continue
            if item not in server.shown_at and server.now - server.started_at >= START_PAUSE_SECONDS:
                self.excused.setdefault(item, "the agent that has it was not heard at the start of the server")
            elif server.now - server.shown_at[item] >= SETTINGS.restore_pause_seconds:
                self.excused.setdefault(item, "the agent that has it did not resume for as long as claims pause")

    def note_journal_restored(self, agent: AgentUnderTest, items: set[str], *, kept_directories: bool) -> None:
        """Note what neither the journal nor a directory shows any more."""
        if not kept_directories:
            mine = {one.item_id for one in self.model.world.workloads if agent.directory in one.directory.parents}
            for item in mine | items:
                self.excused.setdefault(item, "its directory and its record are gone")
