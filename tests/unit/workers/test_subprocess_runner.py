"""Tools run for a phase: real processes, watched, stopped and cleared up."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ipc.errors import JobCancelled
from tests.support.processes import is_gone
from tests.support.waiting import wait_until
from workers.context import JobContext, StopSignal
from workers.subprocess_runner import KEPT_OUTPUT, Limits, ToolCommand, ToolFailed, run_command

ROOT = Path(__file__).parents[3]

#: A worker whose tool kills its own monitor, after it has started a process in another session.
MONITOR_KILLED = """
import os, sys
from pathlib import Path
from ipc.run_spec import RunSpec
from ipc.work_order import WorkOrder
from workers import processes
from workers.context import JobContext
from workers.subprocess_runner import ToolCommand, ToolFailed, run_command

processes.adopt_orphans()
work = Path(sys.argv[1])
spec = RunSpec("e", "p", "r", "local-process")
context = JobContext(WorkOrder("launchd-0-1", "i", "q", "e", 1, "", spec, str(work.parent)), "", lambda event: None)
script = "setsid sh -c 'echo $$ > child; exec sleep 600' & echo $$ > tool; until [ -s child ]; do sleep 0.01; done;"
try:
    run_command(context, ToolCommand(("sh", "-c", script + "kill -9 $PPID; sleep 600"), dict(os.environ), work), str)
except ToolFailed as error:
    print(error.message)
"""


def shell(context: JobContext, script: str, limits: Limits | None = None) -> ToolCommand:
    return ToolCommand(("sh", "-c", script), {"PATH": os.environ["PATH"]}, context.work, limits or Limits())


def run(context: JobContext, script: str, limits: Limits | None = None) -> str:
    return run_command(context, shell(context, script, limits), context.progress)


def noted_pid(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().strip(), what=f"a process id in {path.name}")
    return int(path.read_text())


def test_output_of_both_streams_comes_line_by_line(context: JobContext) -> None:
    lines: list[str] = []

    output = run_command(context, shell(context, "echo one; echo two >&2; printf 'a\\rb\\rlast'"), lines.append)

    assert lines == ["one", "two", "a", "b", "last"]
    assert output == "one\ntwo\na\nb\nlast\n"


def test_the_environment_is_the_given_one_alone(context: JobContext) -> None:
    program = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"

    output = run_command(
        context, ToolCommand((sys.executable, "-c", program), {"ONLY": "1"}, context.work), context.progress
    )

    assert output == "['ONLY']\n"


def test_output_that_is_no_text_is_shown_as_well_as_it_can_be(context: JobContext) -> None:
    assert run(context, "printf 'a\\377b\\n'") == "a\N{REPLACEMENT CHARACTER}b\n"


def test_a_line_without_end_is_cut(context: JobContext) -> None:
    lines: list[str] = []

    run_command(context, shell(context, "head -c 100000 /dev/zero | tr '\\0' x"), lines.append)

    assert len(lines) > 1
    assert sum(map(len, lines)) == 100_000


def test_only_the_end_of_the_output_is_kept(context: JobContext) -> None:
    output = run(context, "seq 100000")

    assert output.endswith("99999\n100000\n")
    assert len(output) <= KEPT_OUTPUT


def test_what_is_secret_is_redacted_everywhere(context: JobContext, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    lines: list[str] = []

    with pytest.raises(ToolFailed) as failure:
        run_command(
            context,
            shell(context, "echo my hunter2; exit 1"),
            lines.append,
            redact=lambda text: text.replace("hunter2", "***"),
        )

    assert lines == ["my ***"]
    assert failure.value.output == "my ***\n"
    assert [vars(record)["line"] for record in caplog.records if "line" in vars(record)] == ["my ***"]


def test_a_failure_says_how_it_ended_and_keeps_the_output(context: JobContext) -> None:
    with pytest.raises(ToolFailed) as failure:
        run(context, "echo why; exit 7")

    assert failure.value.message == "sh ended with exit code 7."
    assert failure.value.output == "why\n"


def test_a_tool_killed_by_a_signal_says_so(context: JobContext) -> None:
    with pytest.raises(ToolFailed, match="sh was killed by signal 11"):
        run(context, "kill -SEGV $$")


def test_a_tool_that_is_not_installed_is_named(context: JobContext) -> None:
    with pytest.raises(ToolFailed, match="no-such-tool is not installed on this host"):
        run_command(context, ToolCommand(("no-such-tool",), {"PATH": "/usr/bin"}, context.work), context.progress)


def test_a_removed_directory_is_named(context: JobContext) -> None:
    context.work.rmdir()

    with pytest.raises(ToolFailed, match="work was removed"):
        run(context, "true")


def test_a_tool_that_takes_too_long_is_ended(context: JobContext) -> None:
    with pytest.raises(ToolFailed, match=r"took longer than 0\.3 s and was ended \(a\.key\)\.") as failure:
        run(context, "while :; do echo busy; sleep 0.01; done", Limits(total_seconds=0.3, total_key="a.key"))

    assert failure.value.output.startswith("busy\n")


def test_a_tool_that_makes_no_progress_is_ended(context: JobContext) -> None:
    with pytest.raises(ToolFailed, match=r"made no progress for 0\.3 s and was ended\."):
        run(context, "echo begun; sleep 60", Limits(silent_seconds=0.3))
    with pytest.raises(ToolFailed, match=r"made no progress for 0\.3 s and was ended \(a\.key\)\."):
        run(context, "echo begun; sleep 60", Limits(silent_seconds=0.3, silent_key="a.key"))


def test_a_silent_tool_that_works_is_not_ended(context: JobContext) -> None:
    program = "import time\nwhile time.process_time() < 0.6: pass\nprint('done')"
    command = ToolCommand((sys.executable, "-c", program), {}, context.work, Limits(silent_seconds=0.2))

    assert run_command(context, command, context.progress) == "done\n"


def test_a_tool_that_closed_its_output_is_waited_for(context: JobContext) -> None:
    started = time.process_time()

    run(context, "exec >&- 2>&-; sleep 0.5; touch done")

    assert (context.work / "done").exists()
    assert time.process_time() - started < 0.3


def test_a_stop_ends_the_tool_and_what_it_started(context: JobContext) -> None:
    script = "sleep 60 & echo $! > child; echo $$ > parent; wait"
    stopper = threading.Thread(target=cancel_once, args=(context, lambda: noted_pid(context.work / "parent")))
    stopper.start()

    with pytest.raises(JobCancelled, match="because I say so"):
        run(context, script)

    stopper.join()
    assert is_gone(noted_pid(context.work / "parent"))
    wait_until(lambda: is_gone(noted_pid(context.work / "child")), what="the end of the child")


def test_a_tool_deaf_to_a_stop_is_killed(context: JobContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.subprocess_runner.END_GRACE_SECONDS", 0.2)
    script = "trap '' TERM; echo $$ > parent; while :; do sleep 0.05; done"
    stopper = threading.Thread(target=cancel_once, args=(context, lambda: noted_pid(context.work / "parent")))
    stopper.start()

    with pytest.raises(JobCancelled):
        run(context, script)

    stopper.join()
    assert is_gone(noted_pid(context.work / "parent"))


def test_nothing_runs_after_a_stop(context: JobContext) -> None:
    context.interrupt(StopSignal("because I say so", 1.0))

    with pytest.raises(JobCancelled):
        run(context, "touch ran")
    assert not (context.work / "ran").exists()


def test_what_a_tool_leaves_behind_is_ended(context: JobContext) -> None:
    run(context, "sleep 60 & echo $! > child")

    wait_until(lambda: is_gone(noted_pid(context.work / "child")), what="the end of the child")


def test_a_tool_runs_in_its_directory(context: JobContext) -> None:
    assert run(context, "pwd").strip() == str(context.work)


def test_a_tool_has_the_usual_signals(context: JobContext) -> None:
    output = run(context, "grep -E 'Sig(Blk|Ign)' /proc/self/status")

    # Signals 32 and 33 are kept by the C library for its threads.
    assert [int(line.split()[1], 16) & ~(0b11 << 31) for line in output.splitlines()] == [0, 0]


def test_a_tool_has_no_descriptors_but_its_own(context: JobContext) -> None:
    # Three standard streams, and the directory that ls itself reads.
    assert len(run(context, "ls /proc/self/fd").split()) == 4


def test_a_tool_whose_monitor_is_killed_is_ended_with_all_it_started(context: JobContext) -> None:
    worker = subprocess.run(
        [sys.executable, "-c", MONITOR_KILLED, str(context.work)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert worker.stdout == "sh was ended, because the process that kept it was killed.\n"
    assert is_gone(noted_pid(context.work / "tool"))
    assert is_gone(noted_pid(context.work / "child"))


def cancel_once(context: JobContext, ready: Callable[[], object]) -> None:
    ready()
    context.interrupt(StopSignal("because I say so", 1.0))
