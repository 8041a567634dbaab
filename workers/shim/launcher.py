"""One job under a shim, from its launch to its exit record: the order of steps that makes a start happen at most once.

    lock -> not started before? -> started.json on disk -> command spawned -> kept -> exit.json on disk

A shim that dies before ``started.json`` is on disk has started nothing.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ipc import failpoints
from ipc.boot_clock import BootClock
from ipc.control_groups import SHIMS, ControlGroup
from ipc.job_files import was_started
from workers.gpus.processors import parse_processors
from workers.output import OutputWriter
from workers.processes import adopt_orphans, key_of_child
from workers.shim import records
from workers.shim.messages import LaunchOutcome, LaunchReply, ShimLaunchRequest
from workers.shim.process_monitor import ProcessMonitor
from workers.shim.records import ExitRecord, StartedRecord
from workers.shim.signals import STOP_SIGNAL, SignalInbox
from workers.shim.spawn import CannotSpawn, Plan, SpawnedCommand, spawn

#: How often, a second apart, the exit record is tried before the exit status is given up.
_EXIT_RECORD_ATTEMPTS = 60


class Launcher:
    """The start of one job. Made early: all that needs no launch is ready before one comes."""

    def __init__(self) -> None:
        # First of all, so that no signal finds this process unprepared.
        self._inbox = SignalInbox()
        adopt_orphans()
        self._own_key = key_of_child(os.getpid())

    def run(self, launch: ShimLaunchRequest, answer: Callable[[LaunchReply], None]) -> None:
        """Start the job, keep it, record its end; ``answer`` is called once, as soon as the start is decided."""
        try:
            plan = self._prepare(launch)
        except OSError as error:
            answer(LaunchReply(LaunchOutcome.REFUSED, f"The job could not be started on this host: {error}."))
            return
        if plan is None:
            answer(LaunchReply(LaunchOutcome.TAKEN))
            return
        failpoints.hit("shim.before_spawn")
        record = self._start_and_monitor(launch, plan, answer)
        failpoints.hit("shim.ended")
        _record_end(Path(launch.directory), record)

    def _prepare(self, launch: ShimLaunchRequest) -> Plan | None:
        """Note on disk that the command is about to start; return ``None`` when it was started before."""
        directory = Path(launch.directory)
        if not records.take_lock(directory, self._own_key) or was_started(directory):
            return None
        failpoints.hit("shim.started")
        _hold(launch.cache_locks)
        records.reserve_exit(directory)
        records.write_started(directory, StartedRecord(self._own_key, time.time(), launch.group, BootClock().now()))
        if launch.group is not None:
            _leave_agent(Path(launch.group).parent / SHIMS)
        if launch.processors is not None:
            _stay_on(launch.processors)
        return Plan(launch.command, launch.environment, launch.work, launch.user, launch.group, launch.umask)

    def _start_and_monitor(
        self, launch: ShimLaunchRequest, plan: Plan, answer: Callable[[LaunchReply], None]
    ) -> ExitRecord:
        """Start the command and keep it to its end, unless a stop came first; return how it ended."""
        directory = Path(launch.directory)
        if self._inbox.take(STOP_SIGNAL) or records.read_stop(directory) is not None:
            answer(LaunchReply(LaunchOutcome.STARTED))
            return ExitRecord(time.time(), stopped=True, message="The job was stopped before its command started.")
        try:
            command = _spawn(plan, directory)
        except CannotSpawn as failure:
            answer(LaunchReply(LaunchOutcome.STARTED))
            return ExitRecord(time.time(), code=failure.code, message=str(failure))
        answer(LaunchReply(LaunchOutcome.STARTED))
        return ProcessMonitor(launch, command, self._inbox, OutputWriter(directory, launch.jobs)).run()


def _spawn(plan: Plan, directory: Path) -> SpawnedCommand:
    command = spawn(plan)
    failpoints.hit("shim.spawned")
    # On a full disk, or without its directory, the job goes on: its environment names it too.
    with suppress(OSError):
        records.write_command(directory, key_of_child(command.pid))
    return command


def _leave_agent(group: Path) -> None:
    """Move to the group of all shims, so that nothing of a job is in the agent's own. Not needed, but tidy."""
    with suppress(OSError):
        ControlGroup(group).enter()


def _stay_on(processors: str) -> None:
    """Run on these processors alone, as will what this process starts; where the host does not allow it, on any."""
    with suppress(OSError, ValueError):
        os.sched_setaffinity(0, parse_processors(processors))


def _hold(paths: tuple[str, ...]) -> None:
    """Lock files (shared) for the rest of this process's life, so that nothing the job uses is removed."""
    for path in paths:
        with suppress(OSError):
            fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)


def _record_end(directory: Path, record: ExitRecord) -> None:
    for attempt in range(_EXIT_RECORD_ATTEMPTS):
        try:
            # The directory may have been removed under the job; its outcome is still wanted.
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            records.write_exit(directory, record)
        except OSError:
            time.sleep(min(attempt, 1))
        else:
            return
