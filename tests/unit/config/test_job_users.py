"""The users that a policy names for jobs: what is refused, and what an administrator is warned of."""

import grp
import pwd

import pytest

from ipc.policy_rules import PolicyRules
from ipc.settings import UserNumbers
from launchd.config import ConfigError, check_job_users
from launchd.config.job_users import POWERFUL_GROUPS
from launchd.config.model import AgentConfig, LaunchdConfig, PolicyConfig
from tests.unit.config.conftest import Read, Refuse


def config(policy: PolicyConfig, *queues: str) -> AgentConfig:
    launchd = LaunchdConfig(state_dir="/s", runtime_dir="/r", policy=policy)
    return AgentConfig(queues=queues or ("default",), launchd=launchd)


def test_a_range_is_read(read: Read) -> None:
    rules = read("launchd: {policy: {run_as_users: 70000-70999}}").config.launchd.policy

    assert rules.run_as_users == UserNumbers(70000, 70999)


def test_a_queue_may_have_one_user_where_others_have_a_range(read: Read) -> None:
    text = "launchd: {policy: {run_as_users: 70000-70999, queues: {trusted: {run_as_user: nobody}}}}"
    rules = read(text).config.launchd.policy.for_queue("trusted")

    assert (rules.run_as_user, rules.run_as_users) == ("nobody", None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("run_as_users: 500-1500", "must be a range between 1000 and"),
        ("run_as_users: 70999-70000", "the lower number first"),
        ("run_as_users: 70000", "must be a range of numbers, such as 70000-70999"),
        ("run_as_users: 10000-90000", "must not have more than 10000 numbers"),
        ("run_as_users: 65000-65600", "65534 stands for no user"),
        ("run_as_users: 70000-70003", "has 4 numbers; 2 jobs and schedulers at a time need 6"),
        ("run_as_users: 70000-70999, run_as_user: nobody", "run_as_user and run_as_users exclude each other"),
        ("queues: {a: {run_as_users: 70000-70999, run_as_user: nobody}}", "exclude each other"),
    ],
)
def test_a_range_that_cannot_be_is_refused(refuse: Refuse, text: str, sentence: str) -> None:
    [line] = refuse(f"launchd: {{policy: {{{text}}}}}")

    assert sentence in line


def test_root_needs_a_user_for_jobs() -> None:
    with pytest.raises(ConfigError, match="this agent runs as root"):
        check_job_users(config(PolicyConfig()), 0)


def test_root_as_the_user_of_jobs_is_no_user() -> None:
    with pytest.raises(ConfigError, match="this agent runs as root"):
        check_job_users(config(PolicyConfig(run_as_user="root")), 0)


@pytest.mark.parametrize(
    "policy",
    [
        PolicyConfig(allow_root_jobs=True),
        PolicyConfig(run_as_users=UserNumbers(70000, 70999)),
        PolicyConfig(run_as_user="nobody"),
        PolicyConfig(queues={"default": PolicyRules(run_as_user="nobody")}),
    ],
)
def test_root_serves_where_the_configuration_says_as_whom(policy: PolicyConfig) -> None:
    assert check_job_users(config(policy), 0) == ()


def test_each_queue_needs_a_user() -> None:
    policy = PolicyConfig(queues={"default": PolicyRules(run_as_user="nobody")})

    with pytest.raises(ConfigError, match=r"launchd\.policy: this agent runs as root"):
        check_job_users(config(policy, "default", "other"), 0)


def test_another_user_than_root_cannot_change_users() -> None:
    with pytest.raises(ConfigError, match=r"launchd\.policy\.run_as_users: only an agent that runs as root"):
        check_job_users(config(PolicyConfig(run_as_users=UserNumbers(70000, 70999))), 1000)
    assert check_job_users(config(PolicyConfig()), 1000) == ()


def test_groups_with_the_rights_of_root_are_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    root = pwd.getpwnam("nobody").pw_gid
    docker = grp.struct_group(("docker", "x", root, ["nobody"]))
    monkeypatch.setattr(grp, "getgrall", lambda: [docker])

    [warning] = check_job_users(config(PolicyConfig(run_as_user="nobody")), 0)

    assert "the user nobody is a member of docker" in warning
    assert "docker" in POWERFUL_GROUPS
