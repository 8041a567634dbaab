"""The rules in force: what the configuration means for slots, orders, limits and refusals, per queue."""

import pwd
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ipc.policy_rules import PolicyRules
from ipc.run_spec import SCHEDULER_URI, GitSpec, Overrides, RunSpec
from ipc.states import JobState
from launchd.agent.work_orders import UNLIMITED_CLAIM, AgentContext
from launchd.config import Flags, load
from tests.support.jobs import a_job


def rules(directory: Path, top: dict[str, Any] | None = None, **launchd: Any) -> AgentContext:
    """Return the rules of a configuration file with these keys."""
    ours = {"state_dir": str(directory / "state"), "runtime_dir": str(directory / "run")} | launchd
    file = directory / "launch-config.yaml"
    file.write_text(yaml.safe_dump({"entity": "me", "queues": ["default", "gpu"], "launchd": ours, **(top or {})}))
    return AgentContext(load(str(file), {}, Flags()).config, "http://server", "me")


def spec(resource: str = "local-process", repo: str | None = None) -> RunSpec:
    return RunSpec("me", "p", "run", resource, git=GitSpec(repo=repo))


@pytest.mark.parametrize(
    ("taken", "limit", "free"), [(0, 3, 3), (2, 3, 1), (3, 3, 0), (5, 3, 0), (0, 0, 0), (500, -1, UNLIMITED_CLAIM)]
)
def test_free_slots_are_never_negative(tmp_path: Path, taken: int, limit: int, free: int) -> None:
    assert rules(tmp_path).free_slots(taken, limit) == free


def test_a_queue_may_grant_more_than_the_host(tmp_path: Path) -> None:
    policy = {"queues": {"gpu": {"resources": ["local-process", "fake"], "run_as_user": "nobody"}}}
    found = rules(tmp_path, policy=policy)
    assert found.refusal(spec("fake"), "gpu") is None
    assert "grants: local-process" in (found.refusal(spec("fake"), "default") or "")
    job = a_job()
    assert found.work_order(job).user is None
    user = found.work_order(msgspec.structs.replace(job, queue="gpu")).user
    assert user is not None
    assert (user.uid, user.name) == (pwd.getpwnam("nobody").pw_uid, "nobody")


@pytest.mark.parametrize("repo", ["-u", "/srv/repo", "file:///srv/repo", "../repo"])
def test_a_path_of_this_host_is_not_fetched_from(tmp_path: Path, repo: str) -> None:
    assert "on this host's own disk" in (rules(tmp_path).refusal(spec(repo=repo), "default") or "")


@pytest.mark.parametrize(
    "repo", ["http://example.org/r", "git://example.org/r", "ext::sh -c true", "-uhttps://example.org"]
)
def test_a_transport_that_was_not_granted_is_refused(tmp_path: Path, repo: str) -> None:
    assert "is not granted here, only: https, ssh" in (rules(tmp_path).refusal(spec(repo=repo), "default") or "")


@pytest.mark.parametrize("repo", ["https://example.org/r", "ssh://git@example.org/r", "git@example.org:r"])
def test_what_was_granted_is_fetched_from(tmp_path: Path, repo: str) -> None:
    assert rules(tmp_path).refusal(spec(repo=repo), "default") is None


def test_secure_mode_keeps_entry_points(tmp_path: Path) -> None:
    found = rules(tmp_path, {"secure_mode": True})
    assert "secure mode" in (found.refusal(a_job().spec, "default") or "")
    assert found.refusal(spec(), "default") is None


@pytest.mark.parametrize(
    ("entry_point", "allowed"), [(("wandb", "scheduler", "s1"), True), (("sh", "-c", "wandb scheduler"), False)]
)
def test_secure_mode_lets_wandbs_scheduler_run(tmp_path: Path, entry_point: tuple[str, ...], allowed: bool) -> None:
    scheduler = msgspec.structs.replace(spec(), uri=SCHEDULER_URI, overrides=Overrides(entry_point))
    assert (rules(tmp_path, {"secure_mode": True}).refusal(scheduler, "default") is None) is allowed


def test_only_phases_that_can_hang_have_limits(tmp_path: Path) -> None:
    supervision = {"fetch_timeout_seconds": 11, "build_timeout_seconds": 12, "submit_timeout_seconds": 13}
    found = rules(tmp_path, supervision=supervision)
    limits = {state: found.phase_limit(state) for state in JobState if found.phase_limit(state) is not None}
    assert limits == {JobState.FETCHING: 11, JobState.BUILDING: 12, JobState.SUBMITTING: 13}


def test_an_order_holds_no_key_and_lies_below_the_state_directory(tmp_path: Path) -> None:
    order = rules(tmp_path).work_order(a_job())
    assert order.directory == str(tmp_path / "state" / "jobs" / order.name)
    assert [name for name in type(order).__struct_fields__ if "key" in name] == ["submitter_key"]


def test_an_order_carries_the_limits_of_the_configuration(tmp_path: Path) -> None:
    jobs = {"stop_grace_seconds": 3, "start_timeout_seconds": 4, "output_max_bytes": 5000, "output_files": 2}
    order = rules(tmp_path, jobs=jobs, venv={"pip_args": ["--no-deps"]}).work_order(a_job())
    assert (order.jobs.stop_grace_seconds, order.jobs.start_timeout_seconds) == (3, 4)
    assert (order.jobs.output_max_bytes, order.jobs.output_files) == (5000, 2)
    assert order.venv.pip_args == ("--no-deps",)


@pytest.mark.parametrize(("allowed", "builder"), [(True, "venv"), (False, None)])
def test_an_order_names_the_builder_that_the_policy_allows(allowed: bool, builder: str | None, tmp_path: Path) -> None:
    order = rules(tmp_path, policy={"allow_venv": allowed}).work_order(a_job())

    assert order.builder == builder


def test_an_order_carries_the_rules_of_its_queue_alone(tmp_path: Path) -> None:
    policy = {"queues": {"gpu": {"run_as_user": "nobody"}}}

    assert type(rules(tmp_path, policy=policy).work_order(a_job()).policy) is PolicyRules


@pytest.mark.parametrize(
    ("policy", "setting", "number"),
    [
        ({}, "63999", None),
        ({"run_as_user": "nobody"}, "63999", 63999),
        ({"run_as_user": "nobody"}, "daemon", pwd.getpwnam("daemon").pw_uid),
    ],
)
def test_what_jobs_share_is_installed_by_a_user_of_its_own(
    policy: dict[str, str], setting: str, number: int | None, tmp_path: Path
) -> None:
    order = rules(tmp_path, policy=policy, venv={"install_user": setting}).work_order(a_job())

    assert (order.install_user and order.install_user.uid) == number
