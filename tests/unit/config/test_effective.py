"""Which settings are in effect, and where each comes from."""

from typing import Any

from launchd.config import Flags
from launchd.config.effective import Setting, settings
from tests.unit.config.conftest import Read


def in_effect(read: Read, text: str, **given: Any) -> dict[str, Setting]:
    loaded = read(text, **given)
    return {one.name: one for one in settings(loaded)}


def test_each_value_has_its_origin(read: Read) -> None:
    found = in_effect(
        read, "max_jobs: 2\nentity: me\nlaunchd:\n  jobs: {max_attempts: 5}\n", WANDB_ENTITY="you", flags=Flags(("q",))
    )

    assert found["max_jobs"].origin.endswith("launch-config.yaml:1")
    assert (found["entity"].value, found["entity"].origin) == ("you", "$WANDB_ENTITY")
    assert (found["queues"].value, found["queues"].origin) == (("q",), "--queue")
    assert found["launchd.jobs.max_attempts"].origin.endswith("launch-config.yaml:4")
    assert (found["launchd.jobs.keep_finished"].value, found["launchd.jobs.keep_finished"].origin) == (200, "default")


def test_keys_are_spelt_as_in_the_file(read: Read) -> None:
    found = in_effect(read, "queue: a\nbuilder:\n  type: noop\n  build-job-name: b\n", flags=Flags())

    assert found["builder.build-job-name"].origin.endswith(":4")
    assert found["queues"].origin.endswith(":1")


def test_a_preset_and_the_rules_for_all_queues_are_origins(read: Read) -> None:
    found = in_effect(
        read,
        "launchd:\n"
        "  policy:\n"
        "    preset: public\n"
        "    allow_venv: false\n"
        "    queues:\n"
        "      q: {git_transports: [ssh], run_as_user: root}\n"
        "      r: {preset: team}\n",
        flags=Flags(("q", "r")),
    )

    rules = "launchd.policy"
    assert found[f"{rules}.git_transports"].origin.endswith(":3 (preset public)")
    assert found[f"{rules}.queues.q.git_transports"].origin.endswith(":6")
    assert found[f"{rules}.queues.q.allow_venv"].origin.endswith(f":4 ({rules}.allow_venv)")
    assert found[f"{rules}.queues.r.containers.volumes"].origin.endswith(":7 (preset team)")
    assert found[f"{rules}.queues.q.containers.limits.disk"].origin.endswith(
        f":3 (preset public) ({rules}.containers.limits.disk)"
    )
    assert found[f"{rules}.queues.q.resources"].origin == "default"


def test_one_user_of_a_queue_replaces_a_range_for_all(read: Read) -> None:
    found = in_effect(
        read, "launchd: {policy: {run_as_users: 70000-70999, queues: {q: {run_as_user: root}}}}", flags=Flags(("q",))
    )

    assert found["launchd.policy.run_as_users"].value == "70000-70999"
    numbers = found["launchd.policy.queues.q.run_as_users"]
    assert (numbers.value, numbers.origin) == (None, "default")
