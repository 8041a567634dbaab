"""Whom a container runs as: the job's user where it may write to the host, and nothing says otherwise."""

from typing import Any

import pytest

from ipc.policy_rules import ContainerRules
from ipc.work_order import JobUser
from workers.docker.container_user import ContainerUser, container_user
from workers.docker.flags import translate

JOB = JobUser(64001, 64002, "/nonexistent")
AGENT, ROOT = (1000, 1001), (0, 0)
STRICT = ContainerRules()
WRITABLE = {"volume": "/data:/data"}


def _user(
    args: dict[str, Any], *, rules: ContainerRules = STRICT, job: JobUser | None = JOB, agent: Any = ROOT
) -> ContainerUser | None:
    return container_user(translate(args), rules, job, agent)


def test_a_job_that_writes_to_the_host_does_so_as_itself() -> None:
    assert _user(WRITABLE) == ContainerUser("64001:64002", (64001, 64002))
    assert _user({"mount": "type=bind,source=/data,target=/data"}) == ContainerUser("64001:64002", (64001, 64002))


def test_jobs_without_a_user_of_their_own_run_as_the_agent_does() -> None:
    assert _user(WRITABLE, job=None, agent=AGENT) == ContainerUser("1000:1001", (1000, 1001))


@pytest.mark.parametrize("args", [{}, {"volume": "/data:/data:ro"}, {"volume": "name:/data"}, {"tmpfs": "/x"}])
def test_the_image_says_it_where_nothing_of_the_host_is_written(args: dict[str, Any]) -> None:
    assert _user(args) is None


def test_a_job_that_names_a_user_has_that_one() -> None:
    assert _user(WRITABLE | {"user": "1234"}) is None


def test_the_policy_may_name_one_for_all() -> None:
    rules = ContainerRules(user="nobody")

    assert _user({}, rules=rules) == _user(WRITABLE, rules=rules) == ContainerUser("nobody")


def test_root_is_given_to_no_container() -> None:
    assert _user(WRITABLE, job=None, agent=ROOT) is None
