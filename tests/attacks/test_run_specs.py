"""Run specs that are meant to hurt the agent: each ends its own item with a sentence, and nothing else.

A spec takes the whole way: push at the queue server, claim, admission, journal, work order, status, restart. The
server's resolvers and store, the admission, the journal and the views are the real ones.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from ipc.run_spec import SCHEDULER_URI
from ipc.work_order import WorkOrder
from launchd.agent.job_record import JobRecord
from launchd.agent.status import AgentState, snapshot
from launchd.cli.status_view import status_lines
from launchd.client.queue_server import ClaimedItem, ItemAnswer
from launchd.server.launch.run_specs import is_scheduler
from tests.support.controller_harness import AGENT, ControllerHarness
from tests.support.hostile_specs import GOOD, hostile_specs
from tests.support.long_tests import is_long
from tests.unit.model.server import QUEUE, Refusal, ServerUnderTest
from workers.job_environment import job_environment

#: How many specs are tried: a few seconds, and what issue and documentation promise.
SHORT_EXAMPLES, LONG_EXAMPLES = 200, 20_000

#: Jobs that the agent knows at a time, and items of the server; then the next one begins with nothing.
JOBS_PER_AGENT, ITEMS_PER_SERVER = 5, 100

STATE = AgentState("polling", 0.0, None, None, None, None, None)


class Way:
    """The way of a run spec from its push to the next start of the agent, over one server and one agent at a time."""

    def __init__(self, directory: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._directory = directory
        self._numbers = count()
        self._begin()

    def _begin(self) -> None:
        """Begin with an empty server and an empty journal."""
        self.server = ServerUnderTest()
        agent = self.server.create_agent("incarnation", "machine")
        assert isinstance(agent, str)
        self._agent_id = agent
        self._pushed_ids: set[str] = set()
        self._begin_journal()

    def _begin_journal(self) -> None:
        directory = self._directory / str(next(self._numbers))
        directory.mkdir()
        self.harness = ControllerHarness(directory)

    def close(self) -> None:
        self._close_journal()
        self.server.close()

    def _close_journal(self) -> None:
        self.harness.close()
        shutil.rmtree(self.harness.directory)

    def take(self, spec: dict[str, Any]) -> None:
        """Let ``spec`` take the whole way, by this project's queue server and as another server hands it out."""
        for claimed in (self._pushed(spec), self._from_another_server(spec)):
            if claimed is not None:
                self._claim(claimed)
                self._acknowledge(claimed)
        if len(self._pushed_ids) > ITEMS_PER_SERVER:
            self.close()
            self._begin()
        elif len(self.harness.table) > JOBS_PER_AGENT:
            self._close_journal()
            self._begin_journal()

    def _pushed(self, spec: dict[str, Any]) -> ClaimedItem | None:
        try:
            text = json.dumps(spec)
        except (RecursionError, ValueError):
            # No client can send it.
            return None
        answer = self.server.try_push(text)
        if isinstance(answer, Refusal):
            self.counts["refused by the server"] += 1
            assert_is_sentence(answer.message)
            return None
        self.counts["taken by the server"] += 1
        self._pushed_ids.add(answer)
        claimed = self.server.claim(launch_agent_id=self._agent_id, claim_id=answer, max_items=1)
        if is_scheduler(spec):
            # The claim was for jobs alone.
            return None
        assert [one.item_id for one in claimed] == [answer]
        return ClaimedItem(answer, QUEUE, claimed[0].run_spec, claimed[0].lease)

    def _from_another_server(self, spec: dict[str, Any]) -> ClaimedItem:
        """The item as a server may hand it out that checks nothing."""
        return ClaimedItem(f"item-{next(self._numbers)}", QUEUE, spec, 1)

    def _claim(self, item: ClaimedItem) -> None:
        harness = self.harness
        harness.controller.on_claimed([item], AGENT)
        harness.turn()
        assert harness.journal.has_changes is False
        job = harness.journal.job(item.item_id)
        if job is None:
            # Left to its lease, from where another agent takes it: that is for schedulers over `max_schedulers` alone.
            assert item.run_spec["uri"] == SCHEDULER_URI
            return
        if job.is_over:
            self._was_refused(job)
        else:
            self.counts["admitted"] += 1
            self._can_be_run(job)
        self._is_shown()
        harness.restart()
        assert harness.journal.unreadable_jobs() == []
        assert harness.journal.job(item.item_id) is not None
        assert (harness.table.get(item.item_id) is None) == job.is_over
        self._is_shown()

    def _acknowledge(self, item: ClaimedItem) -> None:
        """What the server leased and the agent admitted can be acknowledged with the run that it becomes."""
        active = self.harness.table.get(item.item_id)
        if active is None or item.item_id not in self._pushed_ids:
            return
        ack = {"run_queue_item_id": item.item_id, "lease": item.lease, "run_name": active.job.spec.run_id}
        answers = self.server.acknowledge(self._agent_id, [ack])
        assert answers[item.item_id].answer is ItemAnswer.TAKEN, answers

    def _was_refused(self, job: JobRecord) -> None:
        self.counts["refused by the agent"] += 1
        (report,) = self.harness.reporter.outcomes(job.item_id)
        assert report.message is not None
        assert_is_sentence(report.message)
        # It is a refusal by the rules, not an error of the agent.
        assert "unexpected" not in report.message

    def _can_be_run(self, job: JobRecord) -> None:
        """The work order can be written and read, and what it gives to a process can be given to one."""
        order = self.harness.controller.context.work_order(job)
        read = msgspec.json.decode(msgspec.json.encode(order), type=WorkOrder)
        assert read == order
        variables = job_environment(read, "key")
        assert all("\0" not in value and value.encode() for value in variables.values() if value)

    def _is_shown(self) -> None:
        values = snapshot(
            STATE,
            self.harness.controller,
            self.harness.table,
            self.harness.pool,  # type: ignore[arg-type]
            self.harness.outbox,
            self.harness.journal,
        )
        shown = json.loads(json.dumps(values))
        assert status_lines(shown, time.time(), 100)


def assert_is_sentence(text: str) -> None:
    assert text.endswith((".", "Correct it and launch again."))
    assert "Traceback" not in text
    assert len(text) < 1000


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    made = Way(tmp_path_factory.mktemp("way"))
    yield made
    made.close()


@pytest.mark.timeout(3600)
def test_no_run_spec_hurts_the_agent(way: Way, request: pytest.FixtureRequest) -> None:
    examples = LONG_EXAMPLES if is_long(request.config) else SHORT_EXAMPLES

    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(spec=hostile_specs())
    def takes_its_way(spec: dict[str, Any]) -> None:
        way.take(spec)

    takes_its_way()
    # Guards the generator: what is refused at once tells nothing about the rest of the way.
    assert way.counts["admitted"] > examples / 5, way.counts
    assert way.counts["refused by the agent"] > examples / 5, way.counts


@pytest.mark.parametrize(
    "change",
    [
        {"docker": {"docker_image": 5}},
        {"docker": {"docker_image": ["x"]}, "image_uri": "x"},
        {"git": {"repo": "https://example.org/x", "version": {}}},
        {"overrides": {"entry_point": ["true"], "run_config": {"seed": 10**4400}}},
        {"overrides": {"entry_point": ["true"], "run_config": {"lr": float("nan")}}},
        {"overrides": {"entry_point": ["true"], "args": ["\0"]}},
        {"resource_args": {"local-process": "text"}},
        {"name": "\ud800"},
        {"unknown": [0] * 100_001},
        {"unknown": "z" * (4 * 1024 * 1024 + 1)},
    ],
    ids=[
        *("image-number", "image-list", "version-object", "seed-too-long", "rate-not-a-number", "argument-nul"),
        *("resource-args-text", "name-surrogate", "too-wide", "too-long"),
    ],
)
def test_a_wrong_value_ends_its_item_and_the_agent_starts_again(way: Way, change: dict[str, Any]) -> None:
    before = way.counts["refused by the agent"]
    way.take(GOOD | change)
    assert way.counts["refused by the agent"] > before
