"""The administrator's hooks: their order, what they are told, and what a worker after a dead one does."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ipc.errors import InvalidSpec, JobCancelled
from ipc.exits import WorkerExit
from ipc.handles import ExitResult
from ipc.messages import Event, WarningRaised
from ipc.own_args import own_args
from ipc.run_spec import RunSpec
from ipc.settings import HooksConfig
from ipc.states import JobState
from tests.support.waiting import wait_until
from workers.context import DetachRequested, DetachSignal, JobContext, StopSignal
from workers.hooks import OUTPUT_FILE, HookFailed, Hooks

#: Notes its name, place, environment and what it is told.
NOTING = """#!/bin/sh
printf '%s %s %s %s ' "$LAUNCHD_HOOK" "$PWD" "${{WANDB_API_KEY:-none}}" "$1" >> {notes}
cat >> {notes}
echo "$LAUNCHD_HOOK says hello"
{then}
"""


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def program(tmp_path: Path, notes: Path) -> Callable[..., str]:
    def make(then: str = "exit 0", mode: int = 0o755) -> str:
        path = tmp_path / f"hook-{len(list(tmp_path.glob('hook-*')))}"
        path.write_text(NOTING.format(notes=notes, then=then))
        path.chmod(mode)
        return str(path)

    return make


def hooks(context: JobContext, **configured: Any) -> Hooks:
    """Return the hooks of a job in a worker of its own: each call is a worker after the one before."""
    context.order = replace(context.order, hooks=HooksConfig(**configured))
    return Hooks(context)


def noted(notes: Path) -> list[tuple[str, str, str, str, dict[str, Any]]]:
    lines = notes.read_text().splitlines() if notes.exists() else []
    words = [line.split(" ", 4) for line in lines]
    return [(name, place, key, argument, json.loads(told)) for name, place, key, argument, told in words]


def names(notes: Path) -> list[str]:
    return [name for name, *_ in noted(notes)]


def interrupt_during(context: JobContext, notes: Path, signal: StopSignal | DetachSignal, name: str) -> None:
    """Tell the worker something once a hook has read what it is told."""
    wait_until(lambda: name in [line.partition(" ")[0] for line in _whole_lines(notes)], what=f"the hook {name} runs")
    context.interrupt(signal)


def _whole_lines(notes: Path) -> list[str]:
    return notes.read_text().rpartition("\n")[0].splitlines() if notes.exists() else []


def every(program: Callable[..., str]) -> dict[str, tuple[str, ...]]:
    return {name: (program(), "word") for name in ("before", "after", "job_before", "job_after")}


def test_the_order_the_places_and_what_is_told(
    context: JobContext, program: Callable[..., str], notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    made = hooks(context, **every(program))
    made.run_before()
    made.run_after(JobState.FAILED, ExitResult(code=3))

    found = noted(notes)
    work = str(context.work)
    assert [entry[:4] for entry in found] == [
        ("before", "/", "none", "word"),
        ("job_before", work, "none", "word"),
        ("job_after", work, "none", "word"),
        ("after", "/", "none", "word"),
    ]
    assert found[0][4]["item_id"] == context.order.item_id
    assert "outcome" not in found[0][4]
    assert (found[3][4]["outcome"], found[3][4]["exit_code"]) == ("failed", 3)
    # Root's hooks are told no path: one in a tree of the job's user is not theirs to open.
    assert str(context.directory) not in json.dumps([entry[4] for entry in found])
    assert "before says hello" in (context.directory / OUTPUT_FILE).read_text()


def test_without_hooks_nothing_is_written(context: JobContext) -> None:
    before = sorted(context.directory.iterdir())
    made = hooks(context)
    made.run_before()
    made.run_after(JobState.FINISHED)
    made.start_over()
    assert sorted(context.directory.iterdir()) == before


def test_a_failed_hook_fails_the_job_and_the_rest_is_not_begun(
    context: JobContext, program: Callable[..., str], notes: Path
) -> None:
    made = hooks(context, **(every(program) | {"before": (program("exit 4"),)}))
    with pytest.raises(HookFailed, match=r"The hook before of this host failed, and the job was not started: .*code 4"):
        made.run_before()
    made.run_after(JobState.FAILED)
    assert names(notes) == ["before", "job_after", "after"]


def test_a_failed_hook_after_the_job_is_a_warning(
    context: JobContext, heard: list[Event], program: Callable[..., str], notes: Path
) -> None:
    made = hooks(context, job_after=(program("exit 4"),), after=(program(),))
    made.run_before()
    made.run_after(JobState.FINISHED)
    assert names(notes) == ["job_after", "after"]
    (warning,) = [event for event in heard if type(event) is WarningRaised]
    assert "The hook job_after of this host failed" in warning.message


def test_a_hook_that_takes_too_long_is_ended_with_what_it_started(
    context: JobContext, program: Callable[..., str]
) -> None:
    made = hooks(context, before=(program("setsid sleep 600 & sleep 600"),), timeout_seconds=0.5)
    with pytest.raises(HookFailed, match=r"took longer than 0\.5 s and was ended"):
        made.run_before()


def test_an_end_that_was_said_is_not_run_twice(context: JobContext, program: Callable[..., str], notes: Path) -> None:
    configured = every(program)
    hooks(context, **configured).run_before()
    hooks(context, **configured).run_after(JobState.FINISHED)
    hooks(context, **configured).run_after(JobState.FINISHED)
    assert names(notes) == ["before", "job_before", "job_after", "after"]


def test_a_worker_that_is_to_leave_ends_a_hook_and_the_next_one_runs_it_again(
    context: JobContext, program: Callable[..., str], notes: Path
) -> None:
    slow = {"job_after": (program(),), "after": (program(f"[ -e {notes}.go ] || sleep 600"),)}
    hooks(context, **slow).run_before()
    context.interrupt(StopSignal("enough", 1.0))
    leave = threading.Thread(target=interrupt_during, args=(context, notes, DetachSignal(WorkerExit.DETACHED), "after"))
    leave.start()
    with pytest.raises(DetachRequested):
        hooks(context, **slow).run_after(JobState.STOPPED)
    leave.join()
    Path(f"{notes}.go").touch()

    again = JobContext(context.order, "", context.send)
    hooks(again, **slow).run_after(JobState.STOPPED)
    assert names(notes) == ["job_after", "after", "after"]


def test_a_stop_ends_a_hook_before_the_job(context: JobContext, program: Callable[..., str], notes: Path) -> None:
    made = hooks(context, before=(program("sleep 600"),), after=(program(),))
    stop = threading.Thread(target=interrupt_during, args=(context, notes, StopSignal("enough", 1.0), "before"))
    stop.start()
    with pytest.raises(JobCancelled):
        made.run_before()
    stop.join()
    made.run_after(JobState.STOPPED)
    assert names(notes) == ["before", "after"]


def test_an_attempt_that_starts_over_ends_the_one_before(
    context: JobContext, program: Callable[..., str], notes: Path
) -> None:
    configured = every(program)
    hooks(context, **configured).run_before()
    hooks(context, **configured).start_over()
    hooks(context, **configured).run_before()
    hooks(context, **configured).run_after(JobState.FINISHED)
    pair = ["before", "job_before", "job_after", "after"]
    assert names(notes) == pair * 2
    assert noted(notes)[2][4]["outcome"] == "claimed"


def test_a_torn_record_counts_as_begun(context: JobContext, program: Callable[..., str], notes: Path) -> None:
    (context.directory / "hooks.json").write_text("{")
    hooks(context, after=(program(),)).run_after(JobState.FAILED)
    assert names(notes) == ["after"]


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_program_that_others_can_change_is_not_run(
    context: JobContext, program: Callable[..., str], notes: Path, mode: int
) -> None:
    with pytest.raises(HookFailed, match="can be changed by other users"):
        hooks(context, before=(program(mode=mode),)).run_before()
    assert names(notes) == []


def test_a_program_in_a_directory_of_others_is_not_run(
    context: JobContext, program: Callable[..., str], notes: Path, tmp_path: Path
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    link = tmp_path / "open" / "hook"
    link.symlink_to(program())
    with pytest.raises(HookFailed, match="open can be changed by other users"):
        hooks(context, before=(str(link),)).run_before()
    assert names(notes) == []


def test_a_program_that_is_not_there_is_a_sentence(context: JobContext, tmp_path: Path) -> None:
    with pytest.raises(HookFailed, match=r"of launchd\.hooks\.before cannot be run: No such file"):
        hooks(context, before=(f"{tmp_path}/none",)).run_before()


def test_the_output_is_no_link_of_anybody_and_has_an_end(
    context: JobContext, program: Callable[..., str], tmp_path: Path
) -> None:
    (context.directory / OUTPUT_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        hooks(context, before=(program(),)).run_before()
    assert not (tmp_path / "elsewhere").exists()

    (context.directory / OUTPUT_FILE).unlink()
    hooks(context, before=(program("yes 0123456789 | head -n 300000"),)).run_before()
    assert 1 << 20 <= (context.directory / OUTPUT_FILE).stat().st_size < (1 << 20) + 100


def test_no_submitter_names_a_hook() -> None:
    spec = RunSpec("me", "demo", "r", "local-process", {"local-process": {"launchd": {"hooks": {"before": ["/x"]}}}})
    with pytest.raises(InvalidSpec, match="has no key 'hooks'"):
        own_args(spec)
