"""Places for builds: how many there are, whose they are, and that one is one build's."""

import os
import threading
from collections.abc import Callable

import pytest

from ipc.errors import HostError, JobCancelled
from ipc.settings import NUMBERS_PER_BUILD, BuildahConfig, UserNumbers
from ipc.work_order import JobUser
from tests.support.waiting import wait_until
from workers.buildah.seats import take_seat
from workers.context import JobContext, StopSignal

Make = Callable[..., JobContext]

FIRST = 1_900_000_000
ONE = BuildahConfig(user_numbers=UserNumbers(FIRST, FIRST + NUMBERS_PER_BUILD - 1))
USER = JobUser(64000, 64000, "/nonexistent")


def test_a_place_is_one_builds_and_a_stop_ends_the_waiting(make_context: Make) -> None:
    first, second, third = (make_context(f"launchd-0123456789abcdef-{n}") for n in (1, 2, 3))
    third.interrupt(StopSignal("a test", 1.0))

    with take_seat(first) as one, take_seat(second) as other:
        assert one.directory != other.directory
        with pytest.raises(JobCancelled), take_seat(third):
            pass
    with take_seat(make_context("launchd-0123456789abcdef-4")) as again:
        assert again.directory == one.directory


def test_what_is_built_for_jobs_that_trust_each_other_is_kept(make_context: Make) -> None:
    with take_seat(make_context()) as seat:
        assert (seat.keeps, seat.first_user) == (True, None)
        assert seat.directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.root
def test_numbers_make_places_with_users_of_their_own(make_context: Make) -> None:
    two = BuildahConfig(user_numbers=UserNumbers(FIRST, FIRST + 2 * NUMBERS_PER_BUILD - 1))
    contexts = [make_context(f"launchd-0123456789abcdef-{n}", buildah=two, user=USER) for n in (1, 2)]

    with take_seat(contexts[0]) as one, take_seat(contexts[1]) as other:
        assert [one.first_user, other.first_user] == [FIRST, FIRST + NUMBERS_PER_BUILD]
        assert [seat.directory.stat().st_uid for seat in (one, other)] == [one.first_user, other.first_user]
        assert not one.keeps


@pytest.mark.root
def test_a_place_that_was_not_given_away_any_more_is_made_again(make_context: Make) -> None:
    context = make_context(buildah=ONE)
    made = context.directory.parent.parent / "buildah" / "0"
    made.mkdir(parents=True)
    assert made.stat().st_uid == os.geteuid()

    with take_seat(context) as seat:
        assert seat.directory.stat().st_uid == FIRST


@pytest.mark.root
def test_a_place_with_anothers_files_is_refused(make_context: Make) -> None:
    context = make_context(buildah=ONE)
    made = context.directory.parent.parent / "buildah" / "0"
    (made / "storage").mkdir(parents=True)

    with pytest.raises(HostError, match="belongs to another user"), take_seat(context):
        pass


@pytest.mark.root
def test_jobs_with_users_need_users_for_their_builds(make_context: Make) -> None:
    with (
        pytest.raises(HostError, match="builds with buildah have no users of their own here"),
        take_seat(make_context(user=USER)),
    ):
        pass


@pytest.mark.root
def test_a_build_waits_for_the_only_place(make_context: Make) -> None:
    first, second = (make_context(f"launchd-0123456789abcdef-{n}", buildah=ONE) for n in (1, 2))
    taken = threading.Event()

    def take() -> None:
        with take_seat(second):
            taken.set()

    waiting = threading.Thread(target=take)
    with take_seat(first):
        waiting.start()
        assert not taken.wait(0.5)
    wait_until(taken.is_set, 10, "the place was free")
    waiting.join()
