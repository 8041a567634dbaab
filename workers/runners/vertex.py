"""Runs a job as a custom job on Vertex AI (Google Cloud).

The job outlives worker and supervisor; Vertex AI knows it by the workload name, in a label. A request to create it
cannot be repeated: it is noted on disk first, and its effect looked for until it could not come any more.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ipc.boot_clock import BootClock
from ipc.errors import InvalidSpec, PolicyRefused, RunnerUnavailable, SubmitError
from ipc.handles import ExitResult, Handle
from ipc.states import TERMINAL_STATES, JobState
from ipc.targets import VERTEX
from ipc.work_order import WorkOrder
from workers.builders import Build
from workers.context import JobContext
from workers.docker.images import parse_image
from workers.environments import CloudRefused, CloudUnavailable
from workers.gcp.requests import Seen, VertexBusy, VertexRefused, open_gcp
from workers.output import OutputWriter
from workers.runners import Capabilities, LaunchRequest, Runner, Status
from workers.vertex import policy, records, states
from workers.vertex.output import CloudLog, OutputCopy, OutputForbidden
from workers.vertex.records import CreateRecord
from workers.vertex.request import NAME_LABEL, Place, VertexArgs, job_request, read_args, staging_bucket

log = logging.getLogger(__name__)

#: Stands for the image of a job before it is built.
_IMAGE_TO_COME = "image-to-be-built"
#: A request that had no answer may still take effect for so many times as long as an answer may take.
_SETTLED_AFTER = 2.0
#: After the end of a job its output is complete when it has not grown for so many looks.
_LAST_LOOKS = 3
#: Between these, in seconds, unless looks are more frequent anyway.
_LAST_PAUSE_SECONDS = 3.0
#: Between two requests for a job, where the project may ask no more for a time, in seconds.
CREATE_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
_JOB = re.compile(r"projects/(?P<project>[^/]+)/locations/(?P<region>[^/]+)/customJobs/(?P<number>\d+)")


class VertexRunner(Runner):
    """The resource ``vertex``, or ``gcp-vertex``. Its arguments are W&B's ``spec`` and ``run``; see docs/vertex.md."""

    capabilities = Capabilities(keeps_output=True, runs_images=True)

    def __init__(self, order: WorkOrder, clock: BootClock | None = None) -> None:
        super().__init__(order)
        self.capabilities = replace(type(self).capabilities, poll_seconds=order.vertex.poll_seconds)
        self._directory = Path(order.directory)
        self._clock = clock or BootClock()
        self._gcp = open_gcp(order)
        self._pause: Callable[[float], None] = time.sleep
        self._over = threading.Event()
        self._output_problem: str | None = None

    def validate(self) -> None:
        """Raise for what Vertex AI, or the policy, does not give the job, and for credentials that are refused."""
        image = self._order.spec.docker_image
        launch = LaunchRequest(self._order.name, ("true",), {}, self._directory, Build(image=image or _IMAGE_TO_COME))
        args = read_args(self._order, image or _IMAGE_TO_COME)
        # What gives no answer now may give one when the job is created; what is granted is looked at then, too.
        with suppress(CloudUnavailable):
            self._granted(args, launch, own_image=_IMAGE_TO_COME)
            self._gcp.verify()

    def _granted(self, args: VertexArgs, launch: LaunchRequest, own_image: str | None) -> tuple[Place, dict[str, Any]]:
        """Return where the job is to be, and the request for it; ``own_image`` is one that this agent built.

        Raises:
            InvalidSpec: Vertex AI has no such job.
            PolicyRefused: the policy does not grant it.
        """
        place = self._place()
        request = job_request(args, self._order, launch, place)
        refused = policy.refusals(request, staging_bucket(args), own_image, self._order.policy.vertex)
        if refused:
            raise PolicyRefused(" ".join(refused))
        self._gcp.check_job(request)
        return place, request

    def _place(self) -> Place:
        return Place(self._gcp.project(), self._gcp.region())

    def fetch_image(self, image: str, context: JobContext) -> None:
        """Check the image's name; Vertex AI itself brings it to its machines."""
        self._pause = context.wait
        parse_image(image)
        self._warn_of_ignored(image, context)

    def fetch_built(self, build: Build, context: JobContext) -> None:
        """Check that Vertex AI can come to the image; raises :class:`InvalidSpec` where it cannot."""
        self._pause = context.wait
        if build.mounts_project:
            raise InvalidSpec("Vertex AI cannot mount a job's source code into an image.", hint="Have an image built.")
        if build.archive is not None or self._order.registry is None:
            raise InvalidSpec(
                f"The image {build.image} is on the agent's host alone, where Vertex AI cannot have it.",
                hint="The administrator sets builder.destination to a repository in Artifact Registry.",
            )
        self._warn_of_ignored(build.image or "", context)

    def _warn_of_ignored(self, image: str, context: JobContext) -> None:
        ignored = read_args(self._order, image).ignored
        if ignored:
            keys = ", ".join(f"resource_args.vertex.{key}" for key in ignored)
            context.warn(f"These keys have no effect, and have none in W&B's agent: {keys}.", "agent")

    # -- the job

    def submit(self, launch: LaunchRequest) -> Handle:
        """Create the job, unless it is there already."""
        found = self._find_before(launch.name)
        if found is not None:
            return found
        args = read_args(self._order, launch.build.image or "")
        seen = self._create(*self._granted(args, launch, own_image=launch.build.image))
        return _handle(launch.name, seen.name)

    def _create(self, place: Place, request: dict[str, Any]) -> Seen:
        """Ask for the job, again where Vertex AI takes no more requests for a time: then it has made none."""
        for pause in (*CREATE_PAUSES, None):
            # The questions before may have taken long, and the job may be to stop by now.
            self._pause(0.0)
            try:
                seen = self._gcp.create_job(place.project, place.region, request, lambda: self._note_create(place))
            except VertexBusy as error:
                records.remove_create(self._directory)
                if pause is None:
                    raise SubmitError(error.message, hint=error.hint) from error
                self._pause(pause)
            except (SubmitError, CloudRefused) as error:
                records.remove_create(self._directory)
                raise SubmitError(error.message, hint=error.hint) from error
            else:
                self._note_create(place, seen.name)
                return seen
        raise AssertionError("the last pause is none")

    def _note_create(self, place: Place, job: str | None = None) -> None:
        """Note that the job is asked for now; a worker may have waited long for the process that asks."""
        records.write_create(self._directory, CreateRecord(place, self._clock.now(), job))

    def _find_before(self, name: str) -> Handle | None:
        """Return the job that is there before it is asked for; raises as :meth:`find`.

        Raises:
            SubmitError: Vertex AI refuses to say so, and nothing was asked for yet.
        """
        try:
            return self.find(name)
        except VertexRefused as error:
            if records.read_create(self._directory) is not None:
                raise
            raise SubmitError(error.message, hint=error.hint) from error

    def find(self, name: str) -> Handle | None:
        """Return the handle of the job with the label of this name: of the first, should there be several.

        One that is known to have been there counts, also where it was removed since.
        """
        record = records.read_create(self._directory)
        if record is not None and record.job is not None:
            return _handle(name, record.job)
        place = record.place if record is not None else self._place()
        found = self._gcp.find_jobs(place.project, place.region, f'labels.{NAME_LABEL}="{name}"')
        for other in found[1:]:
            # An answer was lost, and the job was created again meanwhile.
            log.warning("Vertex AI has the job twice; the later one is cancelled.", extra={"job": other.name})
            self._gcp.cancel_job(place.region, other.name)
        if not found:
            self._require_settled(record)
            return None
        return _handle(name, found[0].name)

    def _require_settled(self, record: CreateRecord | None) -> None:
        """Raise :class:`RunnerUnavailable` while a request that had no answer may still take effect."""
        age = None if record is None else self._clock.age(record.asked)
        if age is not None and age < _SETTLED_AFTER * self._order.vertex.timeout_seconds:
            raise RunnerUnavailable("Vertex AI did not answer when it was asked for the job, and may yet create it.")

    def inspect(self, handle: Handle) -> Status:
        """Return how the job is."""
        job = _job_of(handle)
        seen = self._gcp.find_job(_parts(job)["region"], job)
        if seen is None:
            status = Status(JobState.FAILED, ExitResult(message=states.REMOVED), states.REMOVED)
        else:
            status = states.status(seen.state, seen.error, has_started=seen.has_started)
        if status.state in TERMINAL_STATES:
            self._over.set()
        if status.state is JobState.RUNNING and status.message is None:
            status = replace(status, message=self._output_problem)
        return status

    def cancel(self, handle: Handle, grace_seconds: float) -> None:  # noqa: ARG002 (the interface's)
        """Ask Vertex AI to cancel the job; how long its processes have then is Vertex AI's own rule."""
        job = _job_of(handle)
        self._gcp.cancel_job(_parts(job)["region"], job)

    def follow_output(self, handle: Handle, writer: OutputWriter) -> None:
        """Copy what Cloud Logging has of the job, until that does not grow any more after the job's end."""
        parts = _parts(_job_of(handle))
        # Of this thread's own.
        gcp = open_gcp(self._order)
        copy = OutputCopy(self._directory, writer, CloudLog(gcp, parts["project"], int(parts["number"])))
        try:
            self._follow(copy)
        except OutputForbidden as problem:
            log.warning("The output of the job cannot be had.", extra={"reason": str(problem)})
            self._output_problem = str(problem)
        finally:
            gcp.close()

    def _follow(self, copy: OutputCopy) -> None:
        seconds = self._order.vertex.log_poll_seconds
        while not self._over.is_set():
            copy.take()
            self._over.wait(seconds)
        quiet = 0
        pause = threading.Event()
        while quiet < _LAST_LOOKS:
            quiet = 0 if copy.take() else quiet + 1
            pause.wait(min(seconds, _LAST_PAUSE_SECONDS))


def _handle(name: str, job: str) -> Handle:
    return Handle(VERTEX, name, data={"job": job})


def _job_of(handle: Handle) -> str:
    return str(handle.data["job"])


def _parts(job: str) -> dict[str, str]:
    """Return project, region and number of a job's whole name; raises :class:`RunnerUnavailable` for any other."""
    match = _JOB.fullmatch(job)
    if match is None:
        raise RunnerUnavailable(f"Vertex AI calls the job {job!r}, which is no name of a custom job.")
    return match.groupdict()
