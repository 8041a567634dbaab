"""Which tests of a run on several processes stay together, and which begin first. Asked for with ``--dist loadgroup``.

xdist's own groups go by the names of tests, which pytest 9.2 no longer lets it change.
"""

import os
import re

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

#: Tests of W&B's clients share a server, an agent and what scripts logged, within a module and a version.
_VERSION = re.compile(r"(tests/compat/[^:]*)::.*?\[(\d+\.\d+\.\d+)")

#: Modules whose tests run one by one, wherever there is room: none shares anything dear with the others.
APART = (
    "tests/attacks/test_run_specs.py",
    "tests/attacks/test_shared_environments.py",
    "tests/contract/builders/test_buildah.py",
    "tests/contract/runners/test_local_container.py",
    "tests/contract/server/test_durability.py",
    "tests/contract/server/test_gpu_matrix.py",
    "tests/contract/server/test_many_servers.py",
    "tests/e2e/",
    "tests/process/test_buildah_builds.py",
    "tests/process/test_campaign.py",
    "tests/process/test_containers.py",
    "tests/process/test_draining.py",
    "tests/process/test_engine_",
    "tests/process/test_git_over_ssh.py",
    "tests/process/test_gpus.py",
    "tests/process/test_hooks.py",
    "tests/process/test_image_builds.py",
    "tests/process/test_kill_matrix.py",
    "tests/process/test_kubernetes.py",
    "tests/process/test_logs.py",
    "tests/process/test_lossy_disk.py",
    "tests/process/test_operations.py",
    "tests/process/test_preemption.py",
    "tests/process/test_python_containers.py",
    "tests/process/test_reloads.py",
    "tests/process/test_restarts.py",
    "tests/process/test_sagemaker.py",
    "tests/process/test_stops.py",
    "tests/process/test_vertex.py",
    "tests/process/test_watched_builds.py",
    "tests/unit/workers/test_venv.py",
)

#: About how long, in seconds, what stays together takes, where that is long.
SECONDS = {
    "tests/packages/test_service.py": 300,
    "tests/packages/test_contents.py": 240,
    "tests/unit/agent/test_wandb_faults.py": 90,
    "tests/process/test_wandb_server.py": 60,
    "tests/compat/test_launch_at_once.py": 45,
    "tests/process/test_python_queued.py": 45,
    "tests/contract/server/test_fuzz.py": 30,
    "tests/compat/test_agent.py": 40,
    "tests/compat/test_sweeps.py": 30,
    "tests/compat/test_launch_job.py": 30,
    "tests/process/test_campaign.py::test_each_item_is_claimed_and_finished_exactly_once": 25,
    "tests/process/test_kill_matrix.py::test_any_process_may_die_anywhere[shim.before_spawn-stop]": 22,
    "tests/process/test_kill_matrix.py::test_any_process_may_die_anywhere[shim.spawned-stop]": 22,
    "tests/process/test_kill_matrix.py::test_any_process_may_die_anywhere[shim.started-stop]": 22,
    "tests/process/test_python_launch.py": 25,
    "tests/unit/model/test_lease_machine.py": 25,
    "tests/unit/workers/test_venv.py::test_pip_builds_one_where_there_is_no_uv": 20,
    "tests/process/test_buildah_builds.py::test_code_is_built_pushed_and_run_and_the_second_launch_builds_nothing": 30,
    "tests/process/test_backup.py": 20,
    "tests/process/test_many_containers.py": 20,
    "tests/process/test_sagemaker.py::test_jobs_end_as_sagemaker_says_with_their_output": 25,
    "tests/process/test_sagemaker.py::test_an_expired_token_and_throttling_cost_no_job": 20,
    "tests/contract/runners/test_podman.py": 20,
    "tests/contract/server/test_gpu_matrix.py::test_jobs_of_every_kind_take_turns": 15,
    "tests/unit/workers/images/test_install_frozen.py": 8,
    "tests/compat/test_runs.py": 20,
    "tests/contract/server/test_collection.py": 20,
    "tests/contract/server/test_every_field.py": 20,
    "tests/contract/server/test_reconciliation.py": 20,
    "tests/e2e/test_demo.py": 20,
    "tests/compat/test_queues.py": 15,
    "tests/process/test_job_states.py": 15,
    "tests/process/test_python_arguments.py": 15,
    "tests/process/test_python_examples.py": 15,
    "tests/contract/server/test_connections.py": 12,
    "tests/contract/server/test_silence.py": 12,
    "tests/compat/test_api.py": 10,
    "tests/compat/test_jobs.py": 10,
    "tests/compat/test_login.py": 10,
    "tests/contract/server/test_artifacts.py": 10,
    "tests/contract/server/test_runs.py": 10,
    "tests/process/test_restarts.py::test_64_jobs_of_a_killed_supervisor_are_adopted": 10,
    "tests/unit/cli/test_at_server.py": 10,
    "tests/unit/client/test_artifacts.py": 8,
    "tests/unit/server/test_migrations.py": 8,
    "tests/test_architecture.py": 8,
    "tests/process/test_kill_matrix.py::test_any_process_may_die_anywhere": 6,
}
#: About how long one test takes, in seconds, where nothing else is said: by directory, the first that fits.
_ONE_TEST = {
    "tests/attacks/": 0.3,
    "tests/compat/": 1.0,
    "tests/contract/builders/": 4.0,
    "tests/contract/runners/": 0.7,
    "tests/contract/": 0.3,
    "tests/process/": 1.5,
    "tests/": 0.05,
}
#: The same in the modules whose tests run one by one.
_ONE_APART = 4.0


class Scheduling(LoadScopeScheduling):
    """Hands out modules, and tests of some modules one by one, in the order in which they are collected."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """Return the name of what a test stays together with."""
    version = _VERSION.match(nodeid)
    if version:
        return f"{version[1]}[{version[2]}]"
    return nodeid if nodeid.startswith(APART) else nodeid.partition("::")[0]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that nothing long begins last; what stays together stays in its order."""
    if not hasattr(config, "workerinput"):
        return
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(scope_of(item.nodeid), []).append(item)
    items[:] = [item for _, group in sorted(groups.items(), key=_longest_first) for item in group]


def _longest_first(group: tuple[str, list[pytest.Item]]) -> float:
    scope, items = group
    seconds = SECONDS.get(scope) or SECONDS.get(scope.partition("[")[0])
    return -(seconds or _one_test(scope) * len(items))


def _one_test(scope: str) -> float:
    if scope.startswith(APART):
        return _ONE_APART
    return next(seconds for directory, seconds in _ONE_TEST.items() if scope.startswith(directory))


def pytest_xdist_auto_num_workers() -> int:
    """Four processes more than there are cores: a test waits for most of its time, for a program or the disk."""
    return (os.cpu_count() or 1) + 4


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    return Scheduling(config, log) if config.getvalue("dist") == "loadgroup" else None
