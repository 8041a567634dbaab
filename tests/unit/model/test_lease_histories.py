"""Histories of agents and server that lost, doubled or forgot a job once, or told it wrongly."""

from collections.abc import Iterator

import pytest

from ipc.states import JobState
from tests.support.controller_harness import SPEC
from tests.unit.model.agent import AgentUnderTest
from tests.unit.model.model import LeaseModel
from tests.unit.model.network import Fate
from tests.unit.model.server import SETTINGS, ItemRow

A_LEASE = SETTINGS.lease_seconds + 1
A_SILENCE = SETTINGS.agent_timeout_seconds + 1


@pytest.fixture
def model() -> Iterator[LeaseModel]:
    made = LeaseModel(names=("a", "b"))
    # What the other agent gets is said by the histories alone.
    made.agents[1].crash()
    yield made
    made.close()


@pytest.fixture
def agent(model: LeaseModel) -> AgentUnderTest:
    found = model.agents[0]
    model.answer(found, "register")
    model.answer(found, "resume")
    return found


def row(model: LeaseModel, item: str) -> ItemRow:
    return model.server.items()[item]


def run(model: LeaseModel, agent: AgentUnderTest) -> None:
    """Have the jobs of an agent come to run."""
    for _ in range(8):
        model.round(agent)


def finish(model: LeaseModel) -> None:
    """Have everything come to its end; each item ran once."""
    model.settle()
    for item in model.pushed:
        assert (row(model, item).state, len(model.world.of_item(item))) == ("FINISHED", 1)


# -- an answer is about one lease


def test_a_late_no_about_the_lease_before_drops_nothing(model: LeaseModel, agent: AgentUnderTest) -> None:
    item = model.push()
    model.answer(agent, "claim")
    agent.crash()
    agent.start()
    model.answer(agent, "resume")
    model.wait(A_LEASE)
    model.answer(agent, "acknowledge", Fate.REACHES)
    model.answer(agent, "claim")
    assert row(model, item).state == "LEASED"
    model.answer(agent, "acknowledge")
    assert agent.knows(item)
    finish(model)
    assert row(model, item).lease == 2


def test_an_acknowledgement_that_was_late_for_its_lease_is_no_yes_for_the_next_one(
    model: LeaseModel, agent: AgentUnderTest
) -> None:
    item = model.push()
    model.answer(agent, "claim")
    model.answer(agent, "acknowledge", Fate.REPEATED)
    model.wait(A_LEASE)
    model.answer(agent, "claim")
    model.network.deliver_copy(0)
    assert (row(model, item).state, row(model, item).lease) == ("LEASED", 2)
    finish(model)


# -- a refused request is not a refused item


def test_one_outcome_that_is_refused_costs_no_other_one(model: LeaseModel, agent: AgentUnderTest) -> None:
    first, second = model.push(), model.push()
    run(model, agent)
    for workload in model.world.running():
        workload.end(JobState.FINISHED)
    for item in (first, second):
        while item in agent.process.pool.busy:  # type: ignore[union-attr]
            agent.step(item)
    for _ in range(4):
        model.answer(agent, "outcomes", Fate.REFUSED)
    model.answer(agent, "outcomes")
    assert (row(model, first).state, row(model, second).state) == ("CLAIMED", "FINISHED")
    assert agent.knows(first), "as a dead letter"
    agent.retry_dead_letters()
    finish(model)


# -- an item that cannot be acknowledged


@pytest.mark.parametrize("wrong", [{"project": "team/proj"}, {"run_id": "a\0b"}, {"run_id": "bad#name"}])
def test_what_cannot_be_acknowledged_is_not_taken_into_a_queue(model: LeaseModel, wrong: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="refused"):
        model.server.push(SPEC | wrong)


def test_an_acknowledgement_that_cannot_succeed_costs_no_other_one(model: LeaseModel, agent: AgentUnderTest) -> None:
    bad, good = model.push(), model.push()
    model.answer(agent, "claim")
    agent_id = agent.last_id or ""
    acks = [
        {"run_queue_item_id": bad, "run_name": "bad#name", "lease": 1},
        {"run_queue_item_id": good, "run_name": "good", "lease": 2},
    ]
    answers = model.server.acknowledge(agent_id, acks)
    assert [answers[item].answer for item in (bad, good)] == ["REFUSED", "TAKEN"]
    assert (row(model, bad).state, row(model, good).state) == ("FAILED", "CLAIMED")


# -- what may exist is not dropped


def test_a_refused_repetition_of_an_acknowledgement_that_was_taken(model: LeaseModel, agent: AgentUnderTest) -> None:
    model.push()
    model.answer(agent, "claim")
    model.answer(agent, "acknowledge", Fate.REACHES)
    model.answer(agent, "acknowledge", Fate.LOST)
    model.answer(agent, "acknowledge", Fate.REFUSED)
    finish(model)


def test_one_that_is_refused_again_and_again_fails_the_item_and_nothing_runs(
    model: LeaseModel, agent: AgentUnderTest
) -> None:
    item = model.push()
    model.answer(agent, "claim")
    model.answer(agent, "acknowledge", Fate.REACHES)
    model.answer(agent, "acknowledge", Fate.LOST)
    for _ in range(3):
        model.answer(agent, "acknowledge", Fate.REFUSED)
    model.settle()
    assert (row(model, item).state, model.world.workloads) == ("FAILED", [])


# -- order does not hang on clocks


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0, 300 * 86_400.0])
def test_an_outcome_counts_after_a_step_of_the_clock(model: LeaseModel, agent: AgentUnderTest, seconds: float) -> None:
    model.push()
    run(model, agent)
    model.clock.wall += seconds
    agent.tick()
    finish(model)


# -- both sides agree


def test_a_journal_from_before_the_claim_with_the_directory(model: LeaseModel, agent: AgentUnderTest) -> None:
    model.copy_journal(agent)
    item = model.push()
    run(model, agent)
    assert len(model.world.running()) == 1
    model.restore_journal(agent, keep_directories=True)
    assert not agent.knows(item)
    finish(model)


def test_a_journal_from_before_the_submission(model: LeaseModel, agent: AgentUnderTest) -> None:
    model.push()
    model.answer(agent, "claim")
    model.answer(agent, "acknowledge")
    model.copy_journal(agent)
    run(model, agent)
    model.restore_journal(agent, keep_directories=True)
    finish(model)


def test_an_item_of_which_nothing_is_left_fails_with_the_reason(model: LeaseModel, agent: AgentUnderTest) -> None:
    model.copy_journal(agent)
    item = model.push()
    run(model, agent)
    model.restore_journal(agent, keep_directories=False)
    model.settle()
    found = row(model, item)
    assert found.state == "FAILED"
    assert "Whether the job ran, or still runs, is not known" in (found.message or "")


def test_a_stop_of_an_item_of_which_nothing_is_left_has_an_answer(model: LeaseModel, agent: AgentUnderTest) -> None:
    model.copy_journal(agent)
    item = model.push()
    run(model, agent)
    model.restore_journal(agent, keep_directories=False)
    answer = model.server.stop(item, "no longer needed")
    assert "is told, and will report the end" in answer["message"]  # type: ignore[index]
    run(model, agent)
    assert row(model, item).is_over


@pytest.mark.parametrize("stage", ["pushed", "leased", "acknowledged"])
def test_a_database_from_before(model: LeaseModel, agent: AgentUnderTest, stage: str) -> None:
    other = model.agents[1]
    other.start()
    run(model, other)
    agent_waits = [lambda: None, lambda: model.answer(agent, "claim"), lambda: model.answer(agent, "acknowledge")]
    stages = ["pushed", "leased", "acknowledged"]
    item = model.push()
    for step in agent_waits[: stages.index(stage) + 1]:
        step()
    model.database_copy = model.server.copy()
    run(model, agent)
    assert len(model.world.running()) == 1
    model.restore_database()
    # Its heartbeat is the first that arrives, and the other one claims at once.
    model.answer(agent, "watch")
    model.wait(A_LEASE - 2)
    for _ in range(4):
        model.round(other)
    finish(model)
    assert row(model, item).agent_id == agent.last_id
    assert not model.promises.excused


def test_a_database_from_before_the_registration(model: LeaseModel) -> None:
    agent = model.agents[0]
    item = model.push()
    model.database_copy = model.server.copy()
    run(model, agent)
    before = agent.last_id
    model.restore_database()
    run(model, agent)
    finish(model)
    assert row(model, item).agent_id == agent.last_id != before


def test_a_copied_state_directory_does_not_make_two_agents_one(model: LeaseModel, agent: AgentUnderTest) -> None:
    model.push()
    model.answer(agent, "claim")
    model.answer(agent, "acknowledge")
    model.start_elsewhere(agent, rounds=8)
    finish(model)


def test_an_outcome_is_told_as_often_as_the_database_forgets_it(model: LeaseModel, agent: AgentUnderTest) -> None:
    item = model.push()
    run(model, agent)
    model.database_copy = model.server.copy()
    model.world.running()[0].end(JobState.FINISHED)
    for _ in range(3):
        run(model, agent)
        assert row(model, item).state == "FINISHED"
        model.promises.check()
        model.restore_database()
        model.wait(11.0)
    finish(model)


def test_a_copy_that_is_refused_reports_nothing(model: LeaseModel, agent: AgentUnderTest) -> None:
    """It finds no directory of the job, and takes the job for lost."""
    item = model.push()
    run(model, agent)
    copy = model.copy_agent(agent)
    copy.start()
    run(model, copy)
    copy.crash()
    assert (row(model, item).state, len(model.world.running())) == ("CLAIMED", 1)


def test_a_worker_that_is_ended_has_nothing_to_do_with_the_next_lease(model: LeaseModel, agent: AgentUnderTest) -> None:
    agent.deaths_are_late = True
    item = model.push()
    model.answer(agent, "claim")
    model.wait(A_LEASE)
    model.answer(agent, "acknowledge")
    assert not agent.knows(item)
    model.answer(agent, "claim")
    process = agent.process
    assert process is not None
    agent.bury(process)
    agent.turn()
    assert len(process.pool.living) == 1, "two workers for one job"
    assert [(job.attempt, job.losses) for job in process.table.jobs()] == [(1, 0)], "a loss of another lease"
    finish(model)


def test_a_journal_from_before_the_registration_with_the_directories(model: LeaseModel) -> None:
    agent = model.agents[0]
    model.copy_journal(agent)
    model.push()
    run(model, agent)
    model.restore_journal(agent, keep_directories=True)
    finish(model)


def test_an_item_whose_outcome_waits_for_the_disk_is_held(model: LeaseModel, agent: AgentUnderTest) -> None:
    """Else a restored server, which has the item as waiting, leases it to others."""
    item = model.push()
    run(model, agent)
    agent.fill_disk()
    model.world.running()[0].end(JobState.FINISHED)
    while agent.step(item):
        pass
    assert [one.item_id for one in agent.held()] == [item]
