"""The phases of one job: fetch, build, submit, monitor, finish.

Owns their order and the intent-before-effect handshake: nothing is created outside before the supervisor has the
workload name on disk. Knows no kind of source, builder or runner.
"""

import errno
import logging
import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import connection
from typing import TypeVar

import msgspec
from setproctitle import setproctitle

from ipc.boot_clock import BootMoment
from ipc.directories import sync_names
from ipc.errors import HostError, InvalidSpec, JobCancelled, JobError, RunnerUnavailable
from ipc.failpoints import hit
from ipc.gpus import gpu_request
from ipc.handles import ExitResult, Handle
from ipc.job_files import SUBMITTED_FILE, WORKER_LOG_FILE
from ipc.messages import Finished, Submitted, Submitting, Watching
from ipc.proxies import direct_loopback
from ipc.states import TERMINAL_STATES, JobState
from ipc.work_order import read_order
from workers.builders import Build, load_builder
from workers.builders.own_environment import remove_own
from workers.confined.directories import make_directories
from workers.confined.fetcher import fetch
from workers.context import JobContext
from workers.control_thread import ControlThread
from workers.hooks import Hooks
from workers.job_environment import job_environment
from workers.output import OutputWriter
from workers.output_follower import OutputFollower
from workers.runners import LaunchRequest, Runner, Status
from workers.sources import Project, load_source, overridden, with_directories

#: Pauses between questions to a target that does not answer.
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)

#: A disk that is full, over its quota, read-only or broken: no error of the job, and worth a sentence.
HOST_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})

#: How often a job that is being stopped is looked at, at least.
STOPPING_POLL_SECONDS = 1.0

#: How long an ended workload is kept for the rest of its output, where its target keeps that.
OUTPUT_END_SECONDS = 30.0

T = TypeVar("T")

log = logging.getLogger(__name__)


class JobRunner:
    """Takes one job from its work order to its end.

    It says that a job failed only while nothing of it exists outside, or once that has ended: what cannot be asked
    about is asked again.
    """

    def __init__(self, context: JobContext, runner: Runner, control: ControlThread) -> None:
        self._context = context
        self._runner = runner
        self._control = control
        self._stopping = False
        self._output: OutputFollower | None = None
        self._titled: JobState | None = None
        self._starting_since: float | None = None
        self._failure: JobError | None = None
        self._only_watches = False
        self._hooks = Hooks(context)

    def start(self) -> None:
        """Run the job from its beginning; raises ``DetachRequested`` when the worker is to leave."""
        self._run(self._launch)

    def adopt(self, handle: Handle | None) -> None:
        """Go on with a job that may exist outside; raises ``DetachRequested`` when the worker is to leave."""
        self._runner.take_over(self._context.api_key)
        self._run(self._find_or_launch if handle is None else lambda: handle)

    def rescue(self, handle: Handle | None) -> None:
        """Watch a job whose workers died again and again to its end; raises ``DetachRequested`` likewise.

        Of all that a worker does, this does what can least go wrong: it asks for the workload's state, and stops it
        when told to.
        """
        self._only_watches = True
        self._run(self._find_or_fail if handle is None else lambda: handle)

    def _run(self, begin: Callable[[], Handle]) -> None:
        try:
            handle = begin()
        except JobCancelled as error:
            self._hooks.run_after(JobState.STOPPED)
            self._context.send(Finished(JobState.STOPPED, ExitResult(message=error.message)))
        except JobError as error:
            self._hooks.run_after(JobState.FAILED)
            self._context.report_failure(error)
        except OSError as error:
            if error.errno not in HOST_ERRNOS:
                raise
            self._hooks.run_after(JobState.FAILED)
            self._context.report_failure(HostError(f"This host refused to go on with the job: {error.strerror}."))
        else:
            self._monitor(handle)

    def _find_or_launch(self) -> Handle:
        handle = self._find()
        if handle is None:
            self._hooks.start_over()
            self._report_status(JobState.CLAIMED, "nothing was submitted before; starting over")
            return self._launch()
        self._context.send(Submitted(handle))
        return handle

    def _find_or_fail(self) -> Handle:
        handle = self._find()
        if handle is None:
            self._context.raise_if_interrupted()
            raise NeverStarted
        self._context.send(Submitted(handle))
        return handle

    def _launch(self) -> Handle:
        self._require_user()
        project = self._fetch()
        build = self._build(project)
        hit("worker.built")
        launch = self._launch_request(project, build)
        return self._submit(launch)

    def _require_user(self) -> None:
        """Refuse a work order that says less than the policy: an earlier version of the agent wrote it."""
        rules = self._context.order.policy
        if self._context.order.user is None and (rules.run_as_user or rules.run_as_users):
            raise HostError(
                "The job was claimed by an earlier version of this agent, which gave it no user of its own, and "
                "nothing of it runs.",
                hint="Launch it again.",
            )

    def _fetch(self) -> Project:
        self._enter(JobState.FETCHING)
        self._runner.validate()
        source = load_source(self._context.order.spec)
        make_directories(self._context.order, lambda problem: self._context.warn(problem, "agent"))
        project = self._without_files() if source is None else fetch(self._context, source)
        if project.image is not None:
            self._fetch_image(project.image)
        hit("worker.fetched")
        return project

    def _without_files(self) -> Project:
        spec = self._context.order.spec
        project = overridden(Project(self._context.work, image=spec.docker_image), spec)
        return project if project.image is not None else with_directories(project)

    def _fetch_image(self, image: str) -> None:
        if not self._runner.capabilities.runs_images:
            raise InvalidSpec(
                f"The job is the image {image}, but {self._context.order.spec.resource} runs no images.",
                hint="Launch it on a queue for containers, or launch its source code.",
            )
        self._runner.fetch_image(image, self._context)
        if (working_dir := self._context.order.spec.overrides.working_dir) is not None:
            self._context.warn(
                f"The job runs in the working directory of its image: overrides.working_dir ({working_dir!r}) is for"
                " jobs that bring code.",
                "run",
            )

    def _build(self, project: Project) -> Build:
        if project.image is not None:
            return Build(image=project.image)
        name = self._context.order.builder
        if name is None:
            return Build()
        builder = load_builder(name)
        if not builder.needed(project, self._context):
            return Build()
        self._enter(JobState.BUILDING)
        build = builder.build(project, self._context)
        if build.image is not None:
            self._runner.fetch_built(build, self._context)
        return build

    def _launch_request(self, project: Project, build: Build) -> LaunchRequest:
        order = self._context.order
        entry_point = build.entry_point or order.spec.overrides.entry_point or project.entry_point
        entry_point = (*build.prefix, *entry_point) if entry_point else ()
        most = self._runner.capabilities.variable_characters
        given = order.jobs.variables(order.queue, os.environ)
        environment = given | direct_loopback(given)
        environment |= job_environment(order, self._context.api_key, project.image, most)
        launch = LaunchRequest(
            order.name, entry_point, environment, project.directory, build, order.spec.overrides.args, project.place
        )
        if build.image is None and not (launch.command and launch.command[0]):
            raise InvalidSpec("The job has no command to run.", hint="Give it an entry point.")
        return launch

    def _submit(self, launch: LaunchRequest) -> Handle:
        self._enter(JobState.SUBMITTING)
        hit("worker.before_submitting")
        self._context.send(Submitting(launch.name))
        self._control.wait_submit_approved()
        self._take_gpus()
        hit("worker.after_submit_approved")
        self._hooks.run_before()
        self._note_submission()
        handle = self._submit_or_find(launch)
        hit("worker.after_submit")
        self._context.send(Submitted(handle))
        return handle

    def _take_gpus(self) -> None:
        """Read which GPUs the job has: they were given to it just now, and stand in its work order."""
        order = self._context.order
        if gpu_request(order.spec) is not None:
            given = read_order(self._context.directory)
            self._context.order = msgspec.structs.replace(order, gpus=given.gpus, gpu_lease=given.gpu_lease)
            self._runner.take_gpus(self._context.order)

    def _note_submission(self) -> None:
        """Leave a mark that the workload may exist, for an agent whose journal is an earlier one than this."""
        if self._runner.capabilities.notes_start:
            return
        # A full disk costs no job: the mark counts only where a journal was restored as well.
        with suppress(OSError):
            (self._context.directory / SUBMITTED_FILE).touch()
            sync_names(self._context.directory)

    def _submit_or_find(self, launch: LaunchRequest) -> Handle:
        try:
            return self._runner.submit(launch)
        except (RunnerUnavailable, OSError) as error:
            # It may have been created all the same.
            log.warning("There is no answer to the submission.", extra={"job": launch.name, "error": str(error)})
        handle = self._find()
        if handle is None and self._context.is_interrupted():
            # What had no answer may take effect a moment later.
            time.sleep(STOPPING_POLL_SECONDS)
            handle = self._find()
        if handle is not None:
            return handle
        self._context.raise_if_interrupted()
        try:
            return self._runner.submit(launch)
        except (RunnerUnavailable, OSError):
            handle = self._find()
            if handle is None:
                # The job fails, and nothing of it exists.
                raise
            return handle

    def _find(self) -> Handle | None:
        attempt = 0
        while True:
            try:
                return _ask(lambda: self._runner.find(self._context.order.name))
            except RunnerUnavailable as error:
                if self._titled is JobState.SUBMITTING:
                    # What keeps a submission is worth a sentence.
                    self._context.progress(error.report().sentence())
                self._wait_for_target(error, attempt)
                attempt += 1

    def _monitor(self, handle: Handle) -> None:
        hit("worker.monitoring")
        self._follow_output(handle)
        self._ask_for_changes(handle)
        failures = 0
        while True:
            self._context.forget_changes()
            try:
                status = _ask(lambda: self._runner.inspect(handle))
            except RunnerUnavailable as error:
                self._report_status(JobState.UNKNOWN, error.report().sentence())
                self._stop_unseen(handle)
                self._wait_for_target(error, failures)
                failures += 1
                continue
            if status.state in TERMINAL_STATES:
                self._warn_of_lost_output(was_away=failures > 0)
                self._finish(handle, status)
                return
            failures = 0
            self._poll_once(handle, status)

    def _ask_for_changes(self, handle: Handle) -> None:
        """Have this worker told of changes of the workload, where something watches that for all workers."""
        scope = self._runner.watch_scope(handle)
        if scope is not None:
            self._context.send(Watching(scope))

    def _poll_once(self, handle: Handle, status: Status) -> None:
        if not self._stopping:
            started = self._started(handle) if status.state is JobState.RUNNING else None
            self._report_status(status.state, status.message, started)
        self._check_start(handle, status)
        self._check_use(handle, status)
        stop_seen = self._act_on_stop(handle)
        seconds = min(self._runner.capabilities.poll_seconds, status.look_again_seconds or math.inf)
        self._wait([self._context.changes_fileno(), self._wait_fileno(handle)], seconds, stop_seen=stop_seen)

    def _started(self, handle: Handle) -> BootMoment | None:
        """Return when the workload was started, for the first report that it runs."""
        if self._titled is JobState.RUNNING:
            return None
        try:
            return _ask(lambda: self._runner.started(handle))
        except RunnerUnavailable:
            return None

    def _wait_fileno(self, handle: Handle) -> int | None:
        try:
            return _ask(lambda: self._runner.wait_fileno(handle))
        except RunnerUnavailable:
            return None

    def _finish(self, handle: Handle, status: Status) -> None:
        hit("worker.ended")
        self._finish_output()
        self._clean_up(handle)
        self._hooks.run_after(status.state, status.result)
        if self._failure is not None and status.state is not JobState.FINISHED:
            self._context.report_failure(self._failure)
        else:
            self._context.send(Finished(status.state, status.result or ExitResult(message=status.message)))
        hit("worker.finished")

    def _follow_output(self, handle: Handle) -> None:
        if self._runner.capabilities.keeps_output and not self._only_watches:
            writer = OutputWriter(self._context.directory, self._context.order.jobs)
            self._output = OutputFollower(self._runner, handle, writer)
            self._output.start()

    def _finish_output(self) -> None:
        if self._output is not None and not self._output.finish(OUTPUT_END_SECONDS):
            self._context.warn("The end of the job's output could not be had from its target.", "run")

    def _warn_of_lost_output(self, *, was_away: bool) -> None:
        if was_away and self._runner.capabilities.may_lose_output:
            self._context.warn(
                "The job ended while its target did not answer, which may have lost the end of its output.", "run"
            )

    def _clean_up(self, handle: Handle) -> None:
        try:
            _ask(lambda: self._runner.delete(handle))
        except RunnerUnavailable as error:
            said = error.report().sentence()
            self._context.warn(f"What is left of the ended job could not be removed: {said}", "run")
        remove_own(self._context)

    def _check_start(self, handle: Handle, status: Status) -> None:
        if status.state is not JobState.STARTING:
            self._starting_since = None
            return
        limit = self._context.order.jobs.start_timeout_seconds
        now = time.monotonic()
        self._starting_since = self._starting_since or now
        is_over_limit = 0 < limit < now - self._starting_since and self._failure is None
        if is_over_limit and self._cancel(handle, self._context.order.jobs.stop_grace_seconds):
            # It counts once the workload has ended.
            self._failure = StartTimeout(limit)

    def _check_use(self, handle: Handle, status: Status) -> None:
        if self._failure is not None or status.state is not JobState.RUNNING or self._only_watches:
            return
        excess = self._runner.why_too_much()
        if excess is not None and self._cancel(handle, self._context.order.jobs.stop_grace_seconds):
            self._failure = excess

    def _act_on_stop(self, handle: Handle) -> bool:
        """Stop the workload if the job is to stop; return whether it is. A failed stop is tried at the next poll."""
        stop = self._context.stop_signal()
        if stop is not None and not self._stopping:
            self._report_status(JobState.STOPPING, stop.reason)
            self._stopping = self._cancel(handle, stop.grace_seconds)
        return stop is not None

    def _stop_unseen(self, handle: Handle) -> None:
        """Stop a workload that cannot be looked at, if the job is to stop: its target may well hear that."""
        stop = self._context.stop_signal()
        if stop is not None and not self._stopping:
            self._stopping = self._cancel(handle, stop.grace_seconds)

    def _cancel(self, handle: Handle, grace_seconds: float) -> bool:
        try:
            _ask(lambda: self._runner.cancel(handle, grace_seconds))
        except RunnerUnavailable as error:
            log.warning("The target did not answer to a stop.", extra={"job": handle.name, "error": error.message})
            return False
        return True

    def _wait_for_target(self, error: RunnerUnavailable, failures: int) -> None:
        log.warning("The target does not answer; the job is left as it is.", extra={"error": error.report().sentence()})
        stop_seen = self._context.stop_signal() is not None
        self._wait((), RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)], stop_seen=stop_seen)
        # A stop has to wait until the target answers; leaving has not.
        self._context.stop_signal()

    def _wait(self, descriptors: Iterable[int | None], seconds: float, *, stop_seen: bool) -> None:
        sources = [descriptor for descriptor in descriptors if descriptor is not None]
        if stop_seen:
            # The signal's descriptor stays readable, so from now on it is looked at in turns.
            seconds = min(seconds, STOPPING_POLL_SECONDS)
        else:
            sources.append(self._context.signal_fileno())
        connection.wait(sources, seconds)

    def _enter(self, phase: JobState) -> None:
        self._context.raise_if_interrupted()
        self._report_status(phase)

    def _report_status(self, phase: JobState, message: str | None = None, started: BootMoment | None = None) -> None:
        if phase is not self._titled:
            self._titled = phase
            order = self._context.order
            setproctitle(f"launchd: worker {order.queue}/{order.item_id} {phase}")
        self._context.report_phase(phase, None if self._only_watches else message, started)


def _ask(question: Callable[[], T]) -> T:
    """Return the answer to a question about a workload; where this host cannot ask it, that says nothing of the job.

    Raises:
        RunnerUnavailable: the target does not answer, or the host's disk or kernel refused its part.
    """
    try:
        return question()
    except OSError as error:
        raise RunnerUnavailable(f"This host could not look after the job: {error.strerror}.") from error


class NeverStarted(JobError):
    """The job's workers died again and again, and its target has no workload of it."""

    def __init__(self) -> None:
        super().__init__(
            "The workers of the job died again and again before it was started; nothing of it runs.",
            hint=f"The {WORKER_LOG_FILE} in its directory has more.",
        )


class StartTimeout(JobError):
    """The workload was submitted and did not start in time."""

    stage = "run"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The job was submitted but did not start within {seconds:g} s, and was cancelled.",
            hint="See what it waits for at its target, or raise launchd.jobs.start_timeout_seconds.",
        )
