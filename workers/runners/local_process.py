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
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from ipc import job_files
from ipc.boot_clock import BootClock, BootMoment, boot_id
from ipc.control_groups import ControlGroup, Usage
from ipc.errors import InvalidSpec, JobError, RunnerUnavailable, SubmitError
from ipc.handles import ExitResult, Handle
from ipc.settings import JobLimits
from ipc.sizes import parse_size
from ipc.states import JobState
from ipc.targets import LOCAL_PROCESS
from ipc.trees import end_processes
from ipc.work_order import JobUser, WorkOrder
from workers import job_limits, processes
from workers.confined.directories import WORK_DIRECTORY
from workers.disk_meter import DiskMeter
from workers.gpus.processors import near_processors
from workers.gpus.variables import gpu_variables
from workers.job_environment import JOB_NAME_VARIABLE
from workers.job_umask import job_umask
from workers.process_environment import process_environment
from workers.processes import ProcessKey
from workers.runners import Capabilities, LaunchRequest, Runner, Status, read_args
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
#: How long what is left in the control group of a job without its shim may take to die of SIGKILL.
GROUP_END_SECONDS = 5.0
#: How many processes that could not be killed are told of: a message is bounded, and one of them is enough.
SURVIVORS_TOLD = 8
_GROUP_HINT = "`launchd status` on the host says what its control groups hold."


class LocalProcessArgs(msgspec.Struct, frozen=True):
    """``resource_args.local-process``: what the job may use at most, within ``launchd.jobs.limits`` of the host.

    ``memory`` and ``disk`` are sizes (``"4 GiB"`` or a number of bytes). ``launchd`` is read elsewhere (``ipc.gpus``).
    Other keys are ignored, as W&B's agent ignores all.
    """

    memory: int | str | None = None
    processors: float | None = None
    processes: int | None = None
    disk: int | str | None = None

    def limits(self) -> JobLimits:
        """Return the arguments as limits; raises :class:`InvalidSpec`."""
        return JobLimits(_size("memory", self.memory), self.processors, self.processes, _size("disk", self.disk))


class LocalProcessRunner(Runner):
    """The resource ``local-process``: see :class:`LocalProcessArgs` for its arguments."""

    capabilities = Capabilities(notes_start=True)

    def __init__(self, order: WorkOrder, clock: BootClock | None = None) -> None:
        super().__init__(order)
        self._directory = Path(order.directory)
        self._clock = clock or BootClock()
        # On a full disk a stop is noted nowhere else.
        self._stop: StopRecord | None = None
        self._stop_seen: float | None = None
        self._waiting: PreforkedShim | None = None
        self._pidfd: int | None = None
        self._asked = JobLimits()

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
        """Raise :class:`InvalidSpec` for a job with an image: a plain process has none (W&B's rule).

        Also for limits that are wrong, more than the host grants, or not to be held here.
        """
        image = self._order.spec.docker_image
        if image:
            raise InvalidSpec(
                f"The job names the image {image}, but local-process runs no images.",
                hint="Launch it on a queue for containers, or launch its source code.",
            )
        self._asked = self._read_asked()
        job_limits.check(self._asked, self._order.jobs.limits, self._order.control_group)

    def _read_asked(self) -> JobLimits:
        return read_args(self._order.spec, LOCAL_PROCESS, LocalProcessArgs).limits()

    def submit(self, launch: LaunchRequest) -> Handle:
        """Start the command under a shim, unless it was started under this name before.

        Returns when the command runs, or when it is on disk why it does not.
        """
        self._make_group()
        for _ in range(START_ATTEMPTS):
            handle = self.find(launch.name) or self._try_start(launch)
            if handle is not None:
                self._dismiss_waiting()
                return handle
        raise SubmitError(
            "The process that was to keep the job ended each time before it could start the command.",
            hint="See whether this host is out of memory, then launch the job again.",
        )

    def _make_group(self) -> None:
        """Make the control group of the job, unless the job was started before."""
        path = self._order.control_group
        if path is None or self.find(self._order.name) is not None:
            return
        try:
            unheld = ControlGroup(path).make(job_limits.effective(self._asked, self._order.jobs.limits))
        except OSError as error:
            raise SubmitError(f"The control group of the job could not be made: {error}.", hint=_GROUP_HINT) from error
        wanted = [name for name in unheld if name in self._asked.names()]
        if wanted:
            message = f"The job's limit of {' and '.join(wanted)} could not be set on this host."
            raise SubmitError(message, hint=_GROUP_HINT)

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
            work=str(launch.work / launch.place),
            command=launch.command,
            environment=host_environment(launch, self._order.user) | self._gpu_variables(),
            jobs=self._order.jobs,
            user=self._order.user,
            cache_locks=launch.build.cache_locks,
            group=self._order.control_group,
            processors=near_processors(self._order.gpus or ()),
            umask=job_umask(self._order.jobs.umask, self._order.user),
        )

    def _gpu_variables(self) -> dict[str, str]:
        """Return the variables by which the job sees its GPUs alone; none where the agent gives out no GPUs."""
        gpus = self._order.gpus
        return {} if gpus is None else gpu_variables(gpus)

    def _dismiss_waiting(self) -> None:
        """End a shim that waits in vain: the job has one already."""
        if self._waiting is not None:
            self._waiting.discard()
            self._waiting = None

    def find(self, name: str) -> Handle | None:
        """Return the handle of the job if it was ever started, or if a shim is about to start it."""
        # The lock first: a shim that let it go between the two looks had started the command before.
        if job_files.is_locked(self._directory):
            return _handle(name, self._await_holder(), self._group())
        if job_files.was_started(self._directory):
            # The lock's content may be gone with a power cut; the record of the start is not.
            started = records.read_started(self._directory)
            shim = started.shim if started else records.read_holder(self._directory)
            return _handle(name, shim, self._group())
        return None

    def _group(self) -> str | None:
        """Return the path of the job's control group: the one it was started in, before that the one it is to have."""
        started = records.read_started(self._directory)
        return self._order.control_group if started is None else started.group

    def _await_holder(self) -> ProcessKey | None:
        """Return the process that holds the lock; it notes itself right after taking it."""
        deadline = time.monotonic() + _HOLDER_KNOWN_SECONDS
        while (holder := records.read_holder(self._directory)) is None and time.monotonic() < deadline:
            time.sleep(0.001)
        return holder

    def started(self, handle: Handle) -> BootMoment | None:  # noqa: ARG002 (the directory is the job's)
        """Return when the command was started."""
        record = records.read_started(self._directory)
        return None if record is None else record.started

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
        usage, survivors = _end_group(handle)
        seen = ExitResult(cpu_seconds=usage.cpu_seconds, peak_memory_bytes=usage.peak_memory_bytes, survivors=survivors)
        if self._stop_record() is not None:
            message = "The job was stopped by force; the process that kept it was gone, and with it its exit status."
            return Status(JobState.STOPPED, replace(seen, signal=signal.SIGKILL, message=message), message)
        message = self._why_lost(_shim_of(handle))
        return Status(JobState.FAILED, replace(seen, message=message), message)

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
        """Return a descriptor of the shim, readable when it has ended; it stays the runner's.

        ``None`` where the shim is not known.
        """
        shim = _shim_of(handle)
        if self._pidfd is None and shim is not None:
            self._pidfd = processes.open_pidfd(shim)
            if self._pidfd is None:
                # It has ended since the last look: look again now.
                self._pidfd = os.eventfd(1)
        return self._pidfd

    def why_too_much(self) -> JobError | None:
        """Return why the job is to be ended for what it has written; None where it has no limit of disk."""
        return None if self._meter is None else self._meter.why_too_much()

    @cached_property
    def _meter(self) -> DiskMeter | None:
        try:
            asked = self._read_asked()
        except InvalidSpec:
            # Adopted, and admitted by a version that did not read its limits.
            asked = JobLimits()
        limit = job_limits.effective(asked, self._order.jobs.limits).disk
        return None if limit is None else DiskMeter(_own_directories(self._order), self._order.user, limit)

    def delete(self, handle: Handle) -> None:  # noqa: ARG002 (the user's number says whose they are)
        """End what is left of an ended job whose user is its own, also what got away from its shim."""
        if self._meter is not None:
            self._meter.close()
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


def _size(name: str, value: int | str | None) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise InvalidSpec(f"Something is wrong in resource_args.{LOCAL_PROCESS}: {name} {error}.") from error


def _own_directories(order: WorkOrder) -> tuple[Path, ...]:
    user = order.user
    # A user without a directory for temporary files of its own has a home that is not this job's alone.
    own = (user.home, user.temporary) if user and user.temporary else ()
    return (Path(order.directory, WORK_DIRECTORY), *map(Path, own))


def host_environment(
    launch: LaunchRequest, user: JobUser | None, worker: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the whole environment of a process of this host: the host's, the job's own, the build's.

    The build's comes last, for variables that the administrator sets must not hide the job's virtual environment.
    ``user`` is its user, None for the worker's; ``worker`` is the worker's own environment.
    """
    environment = process_environment(worker, user) | launch.environment | launch.build.environment
    # Many hosts have no `python`, which most jobs call; the agent's own comes last, for want of another.
    environment["PATH"] = ":".join((*launch.build.path, environment["PATH"], str(Path(sys.executable).parent)))
    return environment


def _handle(name: str, shim: ProcessKey | None, group: str | None) -> Handle:
    data: dict[str, str | int] = {}
    if shim is not None:
        data |= {"pid": shim.pid, "started": shim.started, "boot": shim.boot}
    if group is not None:
        data["group"] = group
    return Handle(LOCAL_PROCESS, name, data=data)


def _shim_of(handle: Handle) -> ProcessKey | None:
    if "pid" not in handle.data:
        return None
    return ProcessKey(int(handle.data["pid"]), int(handle.data["started"]), str(handle.data["boot"]))


def _end_group(handle: Handle) -> tuple[Usage, tuple[int, ...]]:
    """End and remove the control group of a job without its shim; return what the job used, and what is left of it."""
    path = handle.data.get("group")
    if path is None:
        return Usage(), ()
    group = ControlGroup(str(path))
    is_empty = group.end(GROUP_END_SECONDS)
    usage = group.usage()
    if is_empty:
        group.remove()
        return usage, ()
    return usage, tuple(sorted(group.members()))[:SURVIVORS_TOLD]


def _reap(shim: ProcessKey | None) -> None:
    """Take a shim that is a child of this worker off the process table."""
    if shim is not None:
        with suppress(ChildProcessError):
            os.waitpid(shim.pid, os.WNOHANG)


def _ended_status(record: ExitRecord) -> Status:
    result = ExitResult(
        record.code,
        record.signal,
        record.oom_killed,
        record.message,
        record.cpu_seconds,
        record.peak_memory_bytes,
        record.survivors[:SURVIVORS_TOLD],
        record.run_seconds,
    )
    if record.stopped:
        state = JobState.STOPPED
    elif record.code == 0:
        state = JobState.FINISHED
    else:
        state = JobState.FAILED
    return Status(state, result, record.message)
