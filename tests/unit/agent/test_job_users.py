"""Which numbers jobs get, and when they are given out again."""

from pathlib import Path

import msgspec
import pytest

from ipc.policy_rules import PolicyRules
from ipc.settings import UserNumbers
from ipc.states import JobState
from launchd.agent.job_record import JobRecord
from launchd.agent.job_users import FETCH_NUMBERS, JobUsers, NoNumberLeft, numbers_of, taken_numbers
from launchd.agent.journal import JOURNAL_FILE, Journal
from tests.support.jobs import a_job

RANGE = PolicyRules(run_as_users=UserNumbers(64000, 64005))


def with_numbers(users: JobUsers, item: str, rules: PolicyRules = RANGE) -> JobRecord:
    return users.with_numbers(a_job(item), rules)


def test_each_job_has_two_numbers_of_its_own() -> None:
    users = JobUsers()

    given = [number for item in ("a", "b", "c") for number in numbers_of(with_numbers(users, item))]

    assert sorted(given) == list(range(64000, 64006))


def test_without_a_free_number_there_is_a_sentence() -> None:
    users = JobUsers(lambda: {64000, 64001, 64002, 64003, 64004})

    with pytest.raises(NoNumberLeft, match="64000-64005"):
        with_numbers(users, "a")


def test_a_number_is_given_out_again_once_it_is_free_and_rests_until_then() -> None:
    users = JobUsers()
    first, second = with_numbers(users, "a"), with_numbers(users, "b")

    users.release(numbers_of(first))
    third = with_numbers(users, "c")
    users.release(numbers_of(second))

    assert numbers_of(third) == (64004, 64005)
    assert numbers_of(with_numbers(users, "d")) == numbers_of(first)


def test_a_job_keeps_its_numbers() -> None:
    users = JobUsers()
    job = with_numbers(users, "a")

    assert users.with_numbers(job, RANGE) is job


def test_a_job_that_may_exist_keeps_what_it_was_started_with() -> None:
    job = msgspec.structs.replace(a_job("a"), recorded=True)

    assert JobUsers().with_numbers(job, RANGE) is job


def test_under_one_named_user_only_what_fetches_has_a_number() -> None:
    job = with_numbers(JobUsers(), "a", PolicyRules(run_as_user="nobody"))

    assert job.user is None
    assert job.fetch_user in FETCH_NUMBERS


@pytest.mark.parametrize("rules", [PolicyRules(), PolicyRules(run_as_user="root")])
def test_where_jobs_run_as_the_agents_user_there_are_no_numbers(rules: PolicyRules) -> None:
    assert numbers_of(with_numbers(JobUsers(), "a", rules)) == ()


def test_what_is_taken_is_read_from_the_journal_and_from_the_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL_FILE)
    try:
        active = msgspec.structs.replace(a_job("a"), user=64000, fetch_user=64001)
        ended = msgspec.structs.replace(a_job("b"), user=64002, fetch_user=64003, state=JobState.FINISHED)
        for job in (active, ended, a_job("of-an-earlier-version")):
            journal.save(job)
        journal.commit()
        owner = tmp_path / "jobs" / "forgotten" / "work"
        owner.mkdir(parents=True)

        taken = taken_numbers(journal, tmp_path)

        assert {64000, 64001, 64002, 64003, owner.stat().st_uid} <= taken
    finally:
        journal.close()
