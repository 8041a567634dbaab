"""What the queue server's word about an item means for its job: answers by lease, and what it holds as the agent's."""

import errno
from pathlib import Path

import msgspec
import pytest

from ipc.handles import ExitResult, workload_name
from ipc.job_files import STARTED_FILE, SUBMITTED_FILE
from ipc.messages import Adopt, Event, Finished, PhaseChanged, Start, Stop, SubmitApproved, Submitted, Submitting
from ipc.states import JobState
from ipc.work_order import ORDER_FILE, JobUser, read_order, write_order
from launchd.client.queue_server import HeldByServer, ItemAnswer, ItemResult, Resumed
from tests.support.controller_harness import AGENT, HANDLE, OUTSIDE, ControllerHarness

NOES = [answer for answer in ItemAnswer if answer not in (ItemAnswer.TAKEN, ItemAnswer.STALE)]
SIGKILLED = -9


# -- an answer is about one lease


def test_a_no_about_the_lease_before_drops_nothing(harness: ControllerHarness) -> None:
    harness.claim(lease=1)
    harness.claim(lease=7)
    harness.acknowledged(answer=ItemAnswer.LEASE_ENDED, lease=1)
    assert harness.job().lease == 7
    harness.acknowledged(lease=7)
    assert harness.job().acknowledged


def test_a_yes_about_the_lease_before_permits_nothing(harness: ControllerHarness) -> None:
    harness.bring_to("announced")
    harness.claim(lease=7)
    harness.acknowledged(lease=1)
    assert SubmitApproved not in harness.worker().commands()


def test_a_server_without_numbers_has_its_leases_counted(harness: ControllerHarness) -> None:
    harness.claim(lease=0)
    harness.claim(lease=0)
    harness.acknowledged(answer=ItemAnswer.LEASE_ENDED, lease=0)
    harness.acknowledged(lease=1)
    assert (harness.job().acknowledged, harness.reporter.acknowledged) == (True, ["a", "a"])


def test_a_new_lease_is_on_disk_before_it_is_acknowledged(harness: ControllerHarness) -> None:
    harness.claim(lease=1)
    with harness.unwritable_journal():
        harness.claim(lease=7)
        assert harness.reporter.acknowledged == ["a"]
    harness.turn()
    assert (harness.job().lease, harness.reporter.acknowledged) == (7, ["a", "a"])


def test_the_number_of_the_lease_goes_with_the_outcome(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    harness.claim(lease=7)
    harness.report(Finished(JobState.FINISHED, ExitResult(code=0)))
    harness.exit()
    assert [report.lease for report in harness.reporter.outcomes("a")] == [7]


# -- a no


@pytest.mark.parametrize("answer", NOES)
@pytest.mark.parametrize("stage", OUTSIDE[1:])
def test_an_acknowledged_job_goes_on_whatever_is_answered(
    harness: ControllerHarness, stage: str, answer: ItemAnswer
) -> None:
    harness.bring_to(stage)
    harness.acknowledged(answer=answer)
    harness.controller.on_registered(Resumed(results=(ItemResult("a", answer),)), AGENT)
    assert (harness.worker().kill_reason, len(harness.table)) == (None, 1)


def test_an_item_that_can_never_be_acknowledged_fails_with_the_reason(harness: ControllerHarness) -> None:
    harness.claim()
    harness.acknowledged(answer=ItemAnswer.REFUSED, message="A project's name has no slash.")
    assert (harness.job().state, harness.job().message) == (JobState.FAILED, "A project's name has no slash.")


@pytest.mark.parametrize("exists", [False, True])
def test_a_job_whose_name_is_recorded_is_stopped_before_it_is_given_up(
    harness: ControllerHarness, exists: bool
) -> None:
    """Where nothing of it exists the item is not its agent's to fail: it waits, or runs elsewhere."""
    harness.bring_to("announced")
    harness.exit(SIGKILLED)
    harness.acknowledged(answer=ItemAnswer.LEASE_ENDED, message="The lease has ended.")
    assert harness.worker().commands() == [Adopt, Stop]
    if exists:
        harness.report(Submitted(HANDLE))
    harness.report(Finished(JobState.STOPPED, ExitResult()))
    harness.exit()
    assert (harness.knows(), len(harness.table)) == (exists, 0)
    assert [report.message for report in harness.reporter.outcomes("a")] == ["The lease has ended."] * exists


@pytest.mark.parametrize(
    "nothing_exists",
    [[PhaseChanged(JobState.CLAIMED, "nothing was submitted before")], [Finished(JobState.STOPPED, ExitResult())]],
)
def test_an_item_that_is_leased_again_while_its_job_is_given_up_starts_anew(
    harness: ControllerHarness, nothing_exists: list[Event]
) -> None:
    harness.bring_to("announced")
    harness.exit(SIGKILLED)
    harness.acknowledged(answer=ItemAnswer.LEASE_ENDED, message="The lease has ended.")
    harness.claim(lease=7)
    assert harness.reporter.acknowledged == ["a"]

    for event in nothing_exists:
        harness.report(event)
    harness.exit()

    job = harness.job()
    assert (job.state, job.lease, job.stop_reason, job.failure) == (JobState.CLAIMED, 7, None, None)
    assert (harness.reporter.acknowledged, harness.reporter.outcomes("a")) == (["a", "a"], [])
    harness.turn()
    assert harness.worker().commands() == [Start]


def test_a_job_that_exists_fails_also_where_its_item_was_leased_again(harness: ControllerHarness) -> None:
    harness.bring_to("announced")
    harness.exit(SIGKILLED)
    harness.acknowledged(answer=ItemAnswer.LEASE_ENDED, message="The lease has ended.")
    harness.claim(lease=7)
    harness.report(Submitted(HANDLE))
    harness.report(Finished(JobState.STOPPED, ExitResult()))
    harness.exit()
    assert [report.message for report in harness.reporter.outcomes("a")] == ["The lease has ended."]
    assert len(harness.table) == 0


@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_job_whose_item_has_ended_ends_as_it_did(harness: ControllerHarness, acknowledged: bool) -> None:
    harness.bring_to("approved" if acknowledged else "announced")
    harness.exit(SIGKILLED)
    harness.acknowledged(answer=ItemAnswer.OVER)
    assert harness.worker().commands() == [Adopt]
    harness.report(Submitted(HANDLE))
    harness.report(Finished(JobState.FINISHED, ExitResult(code=0)))
    harness.exit()
    assert [report.status for report in harness.reporter.outcomes("a")] == ["finished"]


@pytest.mark.parametrize(
    ("stage", "answer"),
    [("announced", ItemAnswer.OVER), ("approved", ItemAnswer.OVER), ("approved", ItemAnswer.LEASE_ENDED)],
)
def test_nothing_is_created_for_an_item_that_is_not_this_agents(
    harness: ControllerHarness, stage: str, answer: ItemAnswer
) -> None:
    """The state directory is a copy from before the end of the job, and its directory is gone."""
    harness.bring_to(stage)
    harness.restart()
    harness.register(Resumed(results=(ItemResult("a", answer),)))
    harness.report(PhaseChanged(JobState.CLAIMED, "nothing was submitted before; starting over"))
    harness.turn()
    assert (harness.knows(), len(harness.table), harness.reporter.outcomes("a")) == (False, 0, [])


@pytest.mark.parametrize("answer", [ItemAnswer.LEASE_ENDED, ItemAnswer.OVER, ItemAnswer.UNKNOWN])
def test_a_registration_that_says_no_drops_what_waits_for_its_acknowledgement(
    harness: ControllerHarness, answer: ItemAnswer
) -> None:
    harness.claim()
    harness.controller.on_registered(Resumed(results=(ItemResult("a", answer),)), AGENT)
    harness.turn()
    assert (harness.knows(), len(harness.table)) == (False, 0)


def test_a_registration_that_says_yes_is_no_acknowledgement(harness: ControllerHarness) -> None:
    harness.claim()
    harness.controller.on_registered(Resumed(results=(ItemResult("a", ItemAnswer.TAKEN),)), AGENT)
    assert not harness.job().acknowledged


def test_a_journal_may_be_a_copy_so_nothing_is_created_before_the_server_has_taken_the_agent(
    harness: ControllerHarness,
) -> None:
    harness.bring_to("fetching")
    harness.acknowledged()
    harness.restart()
    harness.report(PhaseChanged(JobState.FETCHING))
    harness.report(PhaseChanged(JobState.SUBMITTING))
    harness.report(Submitting(harness.job().name))
    assert SubmitApproved not in harness.worker().commands()
    harness.register()
    assert harness.worker().commands()[-1] is SubmitApproved


@pytest.mark.parametrize("answer", [ItemAnswer.LEASE_ENDED, ItemAnswer.OVER])
def test_an_acknowledged_job_that_was_not_created_is_dropped_where_its_item_is_anothers(
    harness: ControllerHarness, answer: ItemAnswer
) -> None:
    harness.bring_to("fetching")
    harness.acknowledged()
    harness.restart()
    harness.register(Resumed(results=(ItemResult("a", answer),)))
    assert (harness.knows(), len(harness.table), harness.reporter.deliveries) == (False, 0, [])


def test_a_job_whose_item_the_server_has_forgotten_is_run(harness: ControllerHarness) -> None:
    harness.bring_to("announced")
    harness.acknowledged()
    harness.restart()
    harness.report(PhaseChanged(JobState.CLAIMED))
    harness.report(PhaseChanged(JobState.FETCHING))
    harness.report(PhaseChanged(JobState.SUBMITTING))
    harness.report(Submitting(harness.job().name))
    harness.register(Resumed(results=(ItemResult("a", ItemAnswer.UNKNOWN),)))
    assert harness.worker().commands()[-1] is SubmitApproved


def test_a_worker_of_the_lease_before_is_no_worker_of_the_next(harness: ControllerHarness) -> None:
    harness.claim(lease=1)
    dying = harness.worker()
    harness.acknowledged(answer=ItemAnswer.LEASE_ENDED)
    harness.claim(lease=2)
    assert harness.pool.workers == [dying]
    harness.controller.on_event(dying, PhaseChanged(JobState.FETCHING))
    assert harness.job().state is JobState.CLAIMED
    harness.exit(SIGKILLED)
    assert harness.worker() is not dying
    assert (harness.job().attempt, harness.job().losses) == (1, 0)


# -- items that the queue server holds and the agent did not name


def test_an_item_without_a_trace_fails_with_what_is_known(harness: ControllerHarness) -> None:
    harness.unknown(lease=3)
    (report,) = harness.reporter.outcomes("a")
    assert (report.status, report.lease) == ("failed", 3)
    assert "Whether the job ran, or still runs, is not known." in (report.message or "")


def test_an_item_is_settled_once_for_each_lease_while_that_is_on_its_way(harness: ControllerHarness) -> None:
    harness.unknown(lease=3)
    harness.unknown(lease=3)
    assert len(harness.reporter.outcomes("a")) == 1
    harness.unknown(lease=4)
    assert [report.lease for report in harness.reporter.outcomes("a")] == [3, 4]


def test_an_outcome_is_told_as_often_as_the_server_forgets_it(harness: ControllerHarness) -> None:
    harness.unknown(lease=3)
    harness.outbox.delivered((harness.reporter.deliveries[0].id,))
    harness.turn()
    harness.unknown(lease=3)
    assert [report.lease for report in harness.reporter.outcomes("a")] == [3, 3]


def test_an_outcome_that_the_server_does_not_take_is_left_to_a_person(harness: ControllerHarness) -> None:
    harness.unknown(lease=3)
    harness.outbox.refused((harness.reporter.deliveries[0].id,), "No.", 1.0)
    harness.turn()
    harness.unknown(lease=3)
    assert len(harness.reporter.outcomes("a")) == 1


def test_an_outcome_that_a_restored_server_refused_is_sent_again_once_that_is_settled(
    harness: ControllerHarness,
) -> None:
    harness.unknown(lease=3)
    harness.outbox.refused((harness.reporter.deliveries[0].id,), "The lease has ended.", 1.0)
    harness.turn()
    harness.register(Resumed(unknown_to_agent=(HeldByServer("a", 3, "default", "run1"),)))
    assert [report.lease for report in harness.reporter.outcomes("a")] == [3, 3]
    assert harness.outbox.refused_deliveries() == []


def test_an_outcome_that_waits_for_the_disk_is_held(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    with harness.unwritable_journal():
        harness.report(Finished(JobState.FINISHED, ExitResult(code=0)))
        harness.exit()
        assert (len(harness.table), harness.reporter.deliveries) == (0, [])
        assert harness.outbox.has_outcome("a", 1)


def test_an_outcome_that_the_server_lost_is_sent_again(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    harness.report(Finished(JobState.FINISHED, ExitResult(code=0)))
    harness.exit()
    harness.unknown(lease=9)
    assert [(report.status, report.lease) for report in harness.reporter.outcomes("a")] == [
        ("finished", 1),
        ("finished", 9),
    ]


def test_a_job_that_only_its_directory_knows_is_adopted(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    name = harness.job().name
    lost = ControllerHarness(harness.directory.parent / "restored")
    try:
        order = msgspec.structs.replace(
            lost.controller.context.work_order(harness.job()), directory=str(lost.directory / "jobs" / name)
        )
        write_order(order)
        lost.unknown(lease=5)
        assert lost.worker().sent == [Adopt(order.directory, name, "key-of-the-agent", None)]
        job = lost.job()
        assert (job.lease, job.acknowledged, job.recorded, job.spec.run_id) == (5, True, True, "run-a")
        lost.report(PhaseChanged(JobState.RUNNING))
        lost.report(Finished(JobState.FINISHED, ExitResult(code=0)))
        lost.exit()
        assert [report.status for report in lost.reporter.outcomes("a")] == ["finished"]
    finally:
        lost.close()


def test_a_job_of_the_journal_takes_the_later_lease(harness: ControllerHarness) -> None:
    harness.bring_to("announced")
    harness.unknown(lease=8)
    assert (harness.job().lease, harness.job().acknowledged) == (8, True)
    assert harness.worker().commands()[-1] is SubmitApproved


@pytest.mark.parametrize("run", ["run-a", "run-b"])
def test_a_job_of_a_restored_journal_goes_on_under_the_lease_that_the_server_lists(
    harness: ControllerHarness, run: str
) -> None:
    """What became of the lease in the journal does not count, and the job is the run of the later one."""
    harness.bring_to("announced")
    harness.restart()
    ended = ItemResult("a", ItemAnswer.LEASE_ENDED, "The lease has ended.")
    harness.register(Resumed(results=(ended,), unknown_to_agent=(HeldByServer("a", 8, "default", run),)))
    job = harness.job()
    assert (job.lease, job.acknowledged, job.spec.run_id, job.stop_reason, job.failure) == (8, True, run, None, None)
    assert harness.worker().commands() == [Adopt]
    if run != "run-a":
        assert harness.worker().kill_reason == "its job is another run"
        harness.exit(SIGKILLED)
        harness.wait()
        assert harness.worker().commands() == [Adopt]
        assert read_order(Path(harness.controller.context.job_directory(job.name))).spec.run_id == run
    harness.report(PhaseChanged(JobState.CLAIMED, "nothing was submitted before"))
    assert (harness.job().state, harness.job().lease, harness.reporter.outcomes("a")) == (JobState.CLAIMED, 8, [])


def test_a_job_is_left_alone_where_the_server_names_an_earlier_lease(harness: ControllerHarness) -> None:
    harness.claim(lease=8)
    harness.unknown(lease=2)
    assert (harness.job().lease, harness.job().acknowledged) == (8, False)


@pytest.mark.parametrize("mark", [STARTED_FILE, SUBMITTED_FILE])
def test_what_was_submitted_after_the_journals_copy_is_not_submitted_again(
    harness: ControllerHarness, mark: str
) -> None:
    harness.bring_to("fetching")
    name = harness.job().name
    write_order(harness.controller.context.work_order(harness.job()))
    Path(harness.controller.context.job_directory(name), mark).touch()
    harness.restart()
    assert harness.worker().commands() == [Adopt]
    assert (harness.job().name, harness.job().attempt, harness.job().state) == (name, 1, JobState.SUBMITTING)


@pytest.mark.parametrize("left", [b"", b'{"name":"launchd-', None])
def test_a_started_command_whose_work_order_a_power_cut_took_is_not_started_again(
    harness: ControllerHarness, left: bytes | None
) -> None:
    harness.bring_to("fetching")
    name = harness.job().name
    directory = Path(harness.controller.context.job_directory(name))
    write_order(harness.controller.context.work_order(harness.job()))
    (directory / STARTED_FILE).touch()
    if left is None:
        (directory / ORDER_FILE).unlink()
    else:
        (directory / ORDER_FILE).write_bytes(left)
    harness.restart()
    assert harness.worker().commands() == [Adopt]
    assert (harness.job().name, harness.job().attempt, harness.job().state) == (name, 1, JobState.SUBMITTING)


def test_a_job_keeps_the_users_that_its_directory_names(harness: ControllerHarness) -> None:
    harness.bring_to("fetching")
    order = harness.controller.context.work_order(harness.job())
    users = {"user": JobUser(64000, 64000, "/"), "fetch_user": JobUser(64001, 64001, "/")}
    write_order(msgspec.structs.replace(order, **users))
    Path(order.directory, STARTED_FILE).touch()
    harness.restart()
    assert (harness.job().user, harness.job().fetch_user) == (64000, 64001)


@pytest.mark.parametrize("is_readable", [True, False])
def test_a_later_attempt_that_was_started_is_found(harness: ControllerHarness, is_readable: bool) -> None:
    harness.bring_to("fetching")
    context, job = harness.controller.context, harness.job()
    later = msgspec.structs.replace(job, attempt=2, name=workload_name(context.base_url, "a", 2))
    for one in (job, later):
        write_order(context.work_order(one))
    Path(context.job_directory(later.name), STARTED_FILE).touch()
    if not is_readable:
        Path(context.job_directory(later.name), ORDER_FILE).write_bytes(b"")
    harness.restart()
    assert (harness.job().name, harness.job().attempt) == (later.name, 2)


# -- workers that die again and again


def test_a_workload_whose_workers_die_gets_one_that_only_watches(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    lose_workers(harness, 5)
    (adopt,) = harness.worker().sent
    assert isinstance(adopt, Adopt)
    assert (adopt.rescue, adopt.api_key) == (True, "")


def test_a_workload_whose_rescuers_die_is_set_aside_and_can_be_stopped(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    lose_workers(harness, 7)
    harness.exit(SIGKILLED)
    job = harness.job()
    assert (job.state, len(harness.table), "a" in harness.pool.busy) == (JobState.UNKNOWN, 1, False)
    assert harness.reporter.outcomes("a") == []
    harness.wait(100.0)
    assert "a" not in harness.pool.busy
    assert harness.stop()
    assert harness.worker().commands() == [Adopt, Stop]


@pytest.mark.parametrize("has_order", [True, False])
def test_a_directory_that_cannot_be_written_keeps_no_workload_unwatched(
    harness: ControllerHarness, monkeypatch: pytest.MonkeyPatch, has_order: bool
) -> None:
    harness.bring_to("running")
    if not has_order:
        Path(harness.controller.context.job_directory(harness.job().name), ORDER_FILE).unlink()

    def refuse(_order: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("launchd.agent.worker_assignment.write_order", refuse)
    harness.exit(SIGKILLED)
    (adopt,) = harness.worker().sent
    assert isinstance(adopt, Adopt)
    assert adopt.rescue is not has_order


def lose_workers(harness: ControllerHarness, count: int) -> None:
    for _ in range(count):
        harness.exit(SIGKILLED)
        harness.wait(60.0)


def test_the_wall_clock_ends_no_phase(harness: ControllerHarness) -> None:
    harness.bring_to("fetching")
    harness.clock.wall += 10_000_000.0
    harness.controller.check_deadlines()
    assert harness.worker().kill_reason is None
    harness.clock.wall -= 20_000_000.0
    harness.clock.since_boot += 10_000_000.0
    harness.controller.check_deadlines()
    assert harness.worker().kill_reason is not None
