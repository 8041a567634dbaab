"""Runs a job as a training job of Amazon SageMaker.

The training job outlives every process here; it is found again by its name, which follows from the workload's and is
never given twice. SageMaker keeps ended training jobs, so nothing is to be removed.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from ipc.errors import HostError, InvalidSpec, PolicyRefused, RunnerUnavailable, SubmitError
from ipc.handles import ExitResult, Handle
from ipc.states import TERMINAL_STATES, JobState
from ipc.targets import AWS
from ipc.work_order import WorkOrder
from workers.aws.errors import AwsRefused, AwsThrottled
from workers.aws.requests import Aws, open_aws
from workers.builders import Build
from workers.context import JobContext
from workers.docker.images import parse_image
from workers.environments import CloudUnavailable, environment_config
from workers.job_environment import JOB_NAME_VARIABLE
from workers.macros import macros_of
from workers.output import OutputWriter
from workers.runners import Capabilities, LaunchRequest, Runner, Status
from workers.sagemaker import asked, logs, policy
from workers.sagemaker.asked import Asked
from workers.sagemaker.request import LONGEST_VALUE, job_name, training_job
from workers.sagemaker.states import read_status

T = TypeVar("T")

SAGEMAKER = "sagemaker"

#: Stands for an image that is not built yet: the macro itself.
UNKNOWN_IMAGE = "${image_uri}"

#: Between two requests for a training job, where the account may ask no more for a time, in seconds; beside the SDK's.
CREATE_PAUSES = (2.0, 4.0, 8.0, 16.0, 32.0)

#: A name that was given before.
_IN_USE = "ResourceInUse"
#: What SageMaker says of a training job that there is not, and of one that cannot be stopped any more.
_NO_SUCH_JOB = frozenset({"ValidationException", "ResourceNotFound", "ResourceNotFoundException"})
#: For how long a training job has to be missing, in seconds.
_MISSING_SECONDS = 60.0
#: Values shorter than this are no secrets, and may well be parts of other words.
_SHORTEST_SECRET = 8


class SagemakerRunner(Runner):
    """The resource ``sagemaker``. Its arguments are those of CreateTrainingJob; see ``workers.sagemaker.asked``."""

    capabilities = Capabilities(keeps_output=True, runs_images=True, variable_characters=LONGEST_VALUE)

    def __init__(self, order: WorkOrder) -> None:
        super().__init__(order)
        self.capabilities = replace(type(self).capabilities, poll_seconds=order.aws.poll_seconds)
        self._connection: Aws | None = None
        self._ended = threading.Event()
        self._missing_since: float | None = None
        self._pause: Callable[[float], None] = time.sleep

    # -- before anything exists

    def validate(self) -> None:
        """Raise :class:`InvalidSpec` or :class:`PolicyRefused` for what the job may not have; reads the arguments."""
        image = self._order.spec.docker_image
        found = self._read(image)
        named = found.typed.algorithm_specification.training_image
        # One that is still to be built is the agent's own.
        is_known = named is not None and UNKNOWN_IMAGE not in named
        self._grant(found, named if is_known else image)

    def fetch_image(self, image: str, context: JobContext) -> None:
        """Raise where the image is not granted; SageMaker pulls it itself."""
        self._pause = context.wait
        parse_image(image)
        self._grant(self._read(image), image)

    def fetch_built(self, build: Build, context: JobContext) -> None:
        """Raise where SageMaker could not pull the image that was built."""
        self._pause = context.wait
        if build.mounts_project:
            raise InvalidSpec(
                "SageMaker cannot mount the job's code into an image of which no other is built.",
                hint="The administrator configures a builder (builder.type) and a repository (builder.destination).",
            )
        if build.archive is not None or self._order.registry is None:
            raise HostError(
                "The image was built on this host alone, and SageMaker could not pull it.",
                hint="The administrator names a repository of ECR in builder.destination.",
            )

    def _read(self, image: str | None) -> Asked:
        rules = self._order.policy.sagemaker
        macros = macros_of(self._order.spec, image or UNKNOWN_IMAGE, rules.host_variables)
        return asked.read(self._order.spec.resource_args.get(SAGEMAKER), macros)

    def _grant(self, found: Asked, image: str | None) -> None:
        refused = policy.refusals(found, self._order.policy.sagemaker, image)
        if refused:
            raise PolicyRefused(" ".join(refused))

    # -- the training job

    def submit(self, launch: LaunchRequest) -> Handle:
        """Create the training job; what exists under the name is taken for it."""
        found = self._read(launch.build.image)
        self._grant(found, None)
        aws = self._aws()
        name = self._job_name(launch.name)
        parameters = training_job(found, launch, self._order.spec, aws.caller(), name)
        try:
            self._create(aws, name, parameters)
        except AwsRefused as error:
            if error.code != _IN_USE:
                raise _submit_error(error, parameters["Environment"]) from None
            return self._existing(launch.name)
        return self._handle(launch.name, name)

    def _create(self, aws: Aws, name: str, parameters: dict[str, Any]) -> None:
        """Ask for the training job, again where SageMaker takes no more requests for a time: then it has made none."""
        for pause in (*CREATE_PAUSES, None):
            # The questions before may have taken long, and the job may be to stop by now.
            self._pause(0.0)
            try:
                aws.call(SAGEMAKER, "create_training_job", f"the training job {name}", **parameters)
            except AwsThrottled:
                if pause is None:
                    raise
                self._pause(pause)
            else:
                return

    def _existing(self, workload: str) -> Handle:
        """Return the handle of a training job whose name was taken before it could be created."""
        handle = self.find(workload)
        if handle is None:
            name = self._job_name(workload)
            raise SubmitError(f"There is a training job {name} at SageMaker already, and it is another's.")
        return handle

    def find(self, name: str) -> Handle | None:
        """Return the handle of the training job that was created for the workload ``name``, ended or not."""
        job = self._job_name(name)
        answer = self._asked(lambda: self._describe(job))
        is_own = answer is not None and answer.get("Environment", {}).get(JOB_NAME_VARIABLE) == name
        return self._handle(name, job) if is_own else None

    def inspect(self, handle: Handle) -> Status:
        """Return how the training job is."""
        answer = self._asked(lambda: self._describe(_job_of(handle)))
        status = self._lost_status(handle) if answer is None else read_status(answer)
        if answer is not None:
            self._missing_since = None
        if status.state in TERMINAL_STATES:
            self._ended.set()
        return status

    def _lost_status(self, handle: Handle) -> Status:
        """Return that a training job is gone, once SageMaker has said so for a time."""
        now = time.monotonic()
        self._missing_since = self._missing_since or now
        message = f"SageMaker has no training job {_job_of(handle)} any more; how it ended is lost."
        if now - self._missing_since < _MISSING_SECONDS:
            raise RunnerUnavailable(message)
        return Status(JobState.FAILED, ExitResult(message=message), message)

    def cancel(self, handle: Handle, grace_seconds: float) -> None:  # noqa: ARG002 (SageMaker has a grace of its own)
        """Have SageMaker stop the training job: it sends SIGTERM, and kills after 120 seconds."""
        job = _job_of(handle)
        stopped = self._asked(
            lambda: self._aws().call(
                SAGEMAKER, "stop_training_job", f"the stop of the training job {job}", TrainingJobName=job
            )
        )
        if stopped is None and self._is_in_progress(job):
            raise RunnerUnavailable(f"SageMaker does not stop the training job {job}, which is in progress.")

    def _is_in_progress(self, job: str) -> bool:
        answer = self._asked(lambda: self._describe(job))
        return answer is not None and answer.get("TrainingJobStatus") == "InProgress"

    def follow_output(self, handle: Handle, writer: OutputWriter) -> None:
        """Copy CloudWatch's logs of the training job, over its end."""
        # Of this thread's own.
        aws = self._connect(str(handle.data["region"]))
        try:
            hosts = self._read(None).typed.resource_config.count
            copy = logs.CloudWatchCopy(aws, _job_of(handle), Path(self._order.directory), writer, hosts)
            shortest = min(logs.PAUSE_SECONDS, self._order.aws.poll_seconds)
            self._answered(lambda: logs.follow(copy, self._ended, shortest))
        finally:
            aws.forget()

    # -- questions

    def _describe(self, job: str) -> dict[str, Any]:
        return self._aws().call(
            SAGEMAKER, "describe_training_job", f"the question about the training job {job}", TrainingJobName=job
        )

    def _asked(self, question: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Return SageMaker's answer about a training job that may exist, None where it has none that fits."""
        try:
            return self._answered(question)
        except AwsRefused as error:
            if error.code in _NO_SUCH_JOB:
                return None
            raise RunnerUnavailable(error.message, hint=error.hint) from error

    def _answered(self, question: Callable[[], T]) -> T:
        """Return an answer; that this host has no good credentials any more says nothing about a job."""
        try:
            return question()
        except AwsRefused as error:
            if error.is_about_credentials:
                raise CloudUnavailable(error.report().sentence()) from error
            raise

    def _aws(self) -> Aws:
        if self._connection is None:
            self._connection = self._connect(self._read(None).region)
        return self._connection

    def _connect(self, region: str | None) -> Aws:
        if region is None:
            region = environment_config(self._order, AWS).region
        return open_aws(self._order.aws, region, self._read(None).profile)

    def _job_name(self, workload: str) -> str:
        # No image and no variable of the agent goes into it, so that any worker finds the job.
        given = self._order.spec.resource_args.get(SAGEMAKER)
        return job_name(asked.read_name(given, macros_of(self._order.spec, UNKNOWN_IMAGE, ())), workload)

    def _handle(self, workload: str, job: str) -> Handle:
        return Handle(SAGEMAKER, workload, data={"job": job, "region": self._aws().region})


def _job_of(handle: Handle) -> str:
    return str(handle.data["job"])


def _submit_error(error: AwsRefused, environment: Mapping[str, str]) -> SubmitError:
    """Return a refusal without the job's variables: SageMaker quotes all of them when it refuses one."""
    message = error.message
    hidden = [value for name, value in environment.items() if name != JOB_NAME_VARIABLE]
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            message = message.replace(value, "***")
    return SubmitError(message, hint=error.hint)
