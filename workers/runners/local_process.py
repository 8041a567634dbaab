"""Runs a job as a process of this host, under a shim that outlives worker and supervisor.

Everything it knows of a job it reads from the job's directory and from /proc,
so any worker can take a job over at any time.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from ipc import job_files
from ipc.boot_clock import BootClock, boot_id
from ipc.errors import InvalidSpec, RunnerUnavailable, SubmitError
from ipc.handles import ExitResult, Handle
from ipc.states import JobState
from ipc.targets import LOCAL_PROCESS
from ipc.trees import end_processes
from ipc.work_order import JobUser, WorkOrder
from workers import processes
from workers.job_environment import JOB_NAME_VARIABLE
from workers.process_environment import process_environment
from workers.processes import ProcessKey
from workers.runners import LaunchRequest, Runner, Status
from workers.shim import records
from workers.shim.messages import LaunchOutcome, ShimLaunchRequest
from workers.shim.prefork import PreforkedShim, prefork_shim
from workers.shim.records import ExitRecord, StopRecord
from workers.shim.signals import STOP_SIGNAL

#: A shim answers in milliseconds; one that takes longer hangs and is replaced.
ANSWER_TIMEOUT_SECONDS = 20.0
#: How many shims may die before the command was started, until the job fails.
START_ATTEMPTS = 3
#: A shim that has not ended its job this long after a stop's grace hangs. (It gives up on the unkillable earlier.)
STOP_MARGIN_SECONDS = 20.0
_HOLDER_KNOWN_SECONDS = 1.0


class LocalProcessRunner(Runner):
    """The resource ``local-process``. It takes no arguments, and ignores those that are there as W&B's agent does."""

    def __init__(self, order: WorkOrder, clock: BootClock | None = None) -> None:
        super().__init__(order)
        self._directory = Path(order.directory)
        self._clock = clock or BootClock()
        # On a full disk a stop is noted nowhere else.
        self._stop: StopRecord | None = None
        self._stop_seen: float | None = None
        self._waiting: PreforkedShim | None = None
        self._pidfd: int | None = None

    #: The shim of a spare worker, which was forked before there was a job.
    _warm: ClassVar[PreforkedShim | None] = None

    @classmethod
    def warm_up(cls) -> None:
        """Fork the shim that the next job will need."""
        cls._warm = prefork_shim()

    @classmethod
    def discard_warm(cls) -> None:
        """End a shim that was forked ahead in vain."""
        if cls._warm is not None:
            cls._warm.discard()
            cls._warm = None

    def prepare(self) -> None:
        """Have a shim, forked while this worker has no threads."""
        self._waiting = type(self)._warm or prefork_shim()
        type(self)._warm = None

    def validate(self) -> None:
        """Raise :class:`InvalidSpec` for a job with an image: a plain process has none (W&B's rule)."""
        image = self._order.spec.docker_image
        if image:
            raise InvalidSpec(
                f"The job names the image {image}, but local-process runs no images.",
                hint="Launch it on a queue for containers, or launch its source code.",
            )

    def submit(self, launch: LaunchRequest) -> Handle:
        """Start the command under a shim, unless it was started under this name before.

        Returns when the command runs, or when it is on disk why it does not.
        """
        for _ in range(START_ATTEMPTS):
            handle = self.find(launch.name) or self._try_start(launch)
            if handle is not None:
                self._dismiss_waiting()
                return handle
        raise SubmitError(
            "The process that was to keep the job ended each time before it could start the command.",
            hint="See whether this host is out of memory, then launch the job again.",
        )

    def _try_start(self, launch: LaunchRequest) -> Handle | None:
        # A second shim is forked from a process with threads: it takes none of the locks they may hold.
        waiting = self._waiting or prefork_shim()
        self._waiting = None
        answer = waiting.launch(self._shim_launch(launch), ANSWER_TIMEOUT_SECONDS)
        if answer is not None and answer.outcome is LaunchOutcome.REFUSED:
            raise SubmitError(answer.message or "The job could not be started on this host.")
        return self.find(launch.name)

    def _shim_launch(self, launch: LaunchRequest) -> ShimLaunchRequest:
        return ShimLaunchRequest(
            name=launch.name,
            directory=str(self._directory),
            work=str(launch.work),
            command=launch.command,
            environment=host_environment(launch, self._order.user),
            jobs=self._order.jobs,
            user=self._order.user,
            cache_locks=launch.build.cache_locks,
        )

    def _dismiss_waiting(self) -> None:
        """End a shim that waits in vain: the job has one already."""
        if self._waiting is not None:
            self._waiting.discard()
            self._waiting = None

    def find(self, name: str) -> Handle | None:
        """Return the handle of the job if it was ever started, or if a shim is about to start it."""
        # The lock first: a shim that let it go between the two looks had started the command before.
        if job_files.is_locked(self._directory):
            return _handle(name, self._await_holder())
        if job_files.was_started(self._directory):
            # The lock's content may be gone with a power cut; the record of the start is not.
            started = records.read_started(self._directory)
            return _handle(name, started.shim if started else records.read_holder(self._directory))
        return None

    def _await_holder(self) -> ProcessKey | None:
        """Return the process that holds the lock; it notes itself right after taking it."""
        deadline = time.monotonic() + _HOLDER_KNOWN_SECONDS
        while (holder := records.read_holder(self._directory)) is None and time.monotonic() < deadline:
            time.sleep(0.001)
        return holder

    def inspect(self, handle: Handle) -> Status:
        """Return how the job is, from its records; clean up after a shim that was killed."""
        self._dismiss_waiting()
        shim = _shim_of(handle)
        ended = records.read_exit(self._directory)
        if ended is None and self._is_kept(shim):
            return self._kept_status(shim)
        # It may have been recorded after the first look.
        ended = ended or records.read_exit(self._directory)
        _reap(shim)
        return _ended_status(ended) if ended else self._lost_status(handle)

    def _is_kept(self, shim: ProcessKey | None) -> bool:
        return job_files.is_locked(self._directory) or (shim is not None and processes.is_alive(shim))

    def _kept_status(self, shim: ProcessKey | None) -> Status:
        if shim is not None:
            # A shim stopped by SIGSTOP keeps no job. One that runs does not notice the signal.
            processes.send_signal(shim, signal.SIGCONT)
        stop = self._stop_record()
        if stop is not None:
            self._end_hung_shim(stop, shim)
            return Status(JobState.STOPPING)
        # A directory that was removed under the job says nothing; a shim without one has started it before.
        starting = self._directory.exists() and not job_files.was_started(self._directory)
        return Status(JobState.STARTING if starting else JobState.RUNNING)

    def _end_hung_shim(self, stop: StopRecord, shim: ProcessKey | None) -> None:
        """Kill a shim that does not act on a stop; the next look finds the job unkept and ends what is left of it."""
        if shim is not None and self._stop_age(stop) > stop.grace_seconds + STOP_MARGIN_SECONDS:
            processes.send_signal(shim, signal.SIGKILL)

    def _stop_record(self) -> StopRecord | None:
        return records.read_stop(self._directory) or self._stop

    def _stop_age(self, stop: StopRecord) -> float:
        """Return the seconds since the stop was asked for; where the record does not say, since this worker saw it."""
        age = None if stop.requested is None else self._clock.age(stop.requested)
        if age is not None:
            return age
        if self._stop_seen is None:
            self._stop_seen = self._clock.seconds()
        return self._clock.seconds() - self._stop_seen

    def _lost_status(self, handle: Handle) -> Status:
        """Return the status of a job whose shim ended without a record, after killing what still runs of it."""
        self._kill_survivors(handle)
        if self._stop_record() is not None:
            message = "The job was stopped by force; the process that kept it was gone, and with it its exit status."
            return Status(JobState.STOPPED, ExitResult(signal=signal.SIGKILL, message=message), message)
        message = self._why_lost(_shim_of(handle))
        return Status(JobState.FAILED, ExitResult(message=message), message)

    def _why_lost(self, shim: ProcessKey | None) -> str:
        if shim is not None and shim.boot != boot_id():
            return "The host was restarted while the job ran; its exit status is lost."
        if not self._directory.exists():
            return f"The job's directory {self._directory} was removed while the job ran; its exit status is lost."
        if not job_files.was_started(self._directory):
            return "The process that was to keep the job ended before it started the command."
        return "The process that kept the job ended without noting how the job ended; its exit status is lost."

    def _kill_survivors(self, handle: Handle) -> None:
        """Kill what is left of a job without its shim, also what gave up the job's environment, session or parent."""
        roots = processes.with_variable(JOB_NAME_VARIABLE, handle.name)
        # The shim's children became this worker's, if that has forked it.
        roots |= processes.adopted()
        command = records.read_command(self._directory)
        if command is not None:
            roots |= processes.in_session(command)
        shim = _shim_of(handle)
        if shim is not None:
            roots |= processes.working_in(self._directory, shim)
        processes.kill(processes.descendants(roots) | roots, signal.SIGKILL)

    def wait_fileno(self, handle: Handle) -> int | None:
        """Return a descriptor of the shim, readable when it ends; it stays the runner's. ``None`` when it is gone."""
        shim = _shim_of(handle)
        if self._pidfd is None and shim is not None:
            self._pidfd = processes.open_pidfd(shim)
        return self._pidfd

    def delete(self, handle: Handle) -> None:  # noqa: ARG002 (the user's number says whose they are)
        """End what is left of an ended job whose user is its own, also what got away from its shim."""
        user = self._order.user
        if user is None or not user.is_number:
            return
        problem = end_processes(user)
        if problem is not None:
            raise RunnerUnavailable(f"Processes of the user {user.login} may be left: {problem}.")

    def cancel(self, handle: Handle, grace_seconds: float) -> None:
        """Tell the shim to stop the job; one that has not started the command yet does not start it."""
        self._stop = StopRecord(grace_seconds, self._clock.now())
        # On a full disk the signal alone has to do; the shim then uses the job's own grace.
        with suppress(OSError):
            records.write_stop(self._directory, self._stop)
        shim = _shim_of(handle)
        if shim is not None:
            processes.send_signal(shim, STOP_SIGNAL)


def host_environment(
    launch: LaunchRequest, user: JobUser | None, worker: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the whole environment of a process of this host: the host's, the build's, the job's own.

    ``user`` is its user, None for the worker's; ``worker`` is the worker's own environment."""
    environment = process_environment(worker, user)
    environment.update(launch.build.environment)
    # Many hosts have no `python`, which most jobs call; the agent's own comes last, for want of another.
    environment["PATH"] = ":".join((*launch.build.path, environment["PATH"], str(Path(sys.executable).parent)))
    return {**environment, **launch.environment}


def _handle(name: str, shim: ProcessKey | None) -> Handle:
    data: dict[str, str | int] = {}
    if shim is not None:
        data = {"pid": shim.pid, "started": shim.started, "boot": shim.boot}
    return Handle(LOCAL_PROCESS, name, data=data)


def _shim_of(handle: Handle) -> ProcessKey | None:
    if not handle.data:
        return None
    return ProcessKey(int(handle.data["pid"]), int(handle.data["started"]), str(handle.data["boot"]))


def _reap(shim: ProcessKey | None) -> None:
    """Take a shim that is a child of this worker off the process table."""
    if shim is not None:
        with suppress(ChildProcessError):
            os.waitpid(shim.pid, os.WNOHANG)


def _ended_status(record: ExitRecord) -> Status:
    result = ExitResult(record.code, record.signal, record.oom_killed, record.message)
    if record.stopped:
        state = JobState.STOPPED
    elif record.code == 0:
        state = JobState.FINISHED
    else:
        state = JobState.FAILED
    return Status(state, result, record.message)
