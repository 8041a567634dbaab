"""From an item to a job or to a reason: whatever stands in a run spec, an answer comes out and no key goes in."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from launchd.agent.admission import Admitted, Rejected, admit
from launchd.agent.work_orders import AgentContext
from launchd.client.queue_server import ClaimedItem
from launchd.config import Flags, load

GOOD: dict[str, Any] = {
    "entity": "me",
    "project": "Vision",
    "resource": "local-process",
    "overrides": {"entry_point": ["true"]},
}


@pytest.fixture
def rules(tmp_path: Path) -> AgentContext:
    file = tmp_path / "launch-config.yaml"
    file.write_text(f"{{entity: me, queues: [default], launchd: {{state_dir: {tmp_path}, runtime_dir: {tmp_path}}}}}")
    return AgentContext(load(str(file), {}, Flags()).config, "http://server", "me")


def take(rules: AgentContext, **changes: Any) -> Admitted | Rejected:
    return admit(ClaimedItem("item", "default", GOOD | changes), "agent", rules, 1000.0)


def test_a_good_item_becomes_a_job(rules: AgentContext) -> None:
    taken = take(rules)
    assert isinstance(taken, Admitted)
    job = taken.job
    assert (job.item_id, job.agent_id, job.queue, job.claimed_at) == ("item", "agent", "default", 1000.0)
    assert job.spec.project == "vision"
    assert taken.submitter_key is None


def test_an_items_job_has_the_same_name_after_any_restart(rules: AgentContext) -> None:
    assert take(rules).job.name == take(rules).job.name


def test_a_missing_run_id_is_drawn(rules: AgentContext) -> None:
    drawn = [take(rules).job.spec.run_id for _ in range(2)]
    assert all(len(run_id) == 8 for run_id in drawn)
    assert drawn[0] != drawn[1]


def test_the_submitters_key_stands_nowhere_in_the_record(rules: AgentContext) -> None:
    taken = take(rules, _wandb_api_key="their-secret-key")
    assert isinstance(taken, Admitted)
    assert taken.submitter_key == "their-secret-key"
    assert taken.job.submitter_key
    assert b"their-secret-key" not in msgspec.json.encode(taken.job)


def test_a_rejected_items_key_stands_nowhere_either(rules: AgentContext) -> None:
    taken = take(rules, _wandb_api_key="their-secret-key", overrides=7)
    assert b"their-secret-key" not in msgspec.json.encode(taken.job)


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_key_is_no_key(rules: AgentContext, nothing: str | None) -> None:
    taken = take(rules, _wandb_api_key=nothing)
    assert isinstance(taken, Admitted)
    assert not taken.submitter_key
    assert not taken.job.submitter_key


@pytest.mark.parametrize("nulls", [("overrides",), ("resource_args",), ("git", "uri", "job", "docker", "sweep_id")])
def test_nulls_are_absent(rules: AgentContext, nulls: tuple[str, ...]) -> None:
    assert isinstance(take(rules, **dict.fromkeys(nulls)), Admitted)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("overrides", [1]),
        ("overrides", {"entry_point": "true"}),
        ("overrides", {"args": {"a": 1}}),
        ("overrides", {"run_config": 3}),
        ("resource_args", "gpus"),
        ("resource", 7),
        ("project", None),
        ("entity", {"name": "me"}),
        ("git", {"repo": ["x"]}),
        ("git", "https://example.org"),
        ("docker", "image"),
        ("run_id", 12),
        ("_resume_count", "many"),
        ("sweep_id", {}),
        ("_wandb_api_key", 12345),
        ("_wandb_api_key", {"key": "k"}),
    ],
)
def test_what_has_the_wrong_type_is_rejected_in_a_sentence(rules: AgentContext, key: str, value: object) -> None:
    taken = take(rules, **{key: value})
    assert isinstance(taken, Rejected)
    assert taken.error.stage == "agent"
    assert taken.error.message.endswith(".")
    assert "Traceback" not in taken.error.message
    assert taken.job.item_id == "item"


def test_a_key_of_the_wrong_type_is_named_and_shown_nowhere(rules: AgentContext) -> None:
    taken = take(rules, _wandb_api_key=["their-secret-key"])
    assert isinstance(taken, Rejected)
    assert taken.error.message == "_wandb_api_key in the run spec is a list, and must be text."
    assert b"their-secret-key" not in msgspec.json.encode(taken.job)


def test_what_the_host_does_not_grant_is_rejected(rules: AgentContext) -> None:
    taken = take(rules, resource="kubernetes")
    assert isinstance(taken, Rejected)
    assert "The resource kubernetes is not granted on this host" in taken.error.message
    assert taken.job.spec.run_id
