"""Vertex AI's API for custom jobs, over HTTP: the SDK's client, with its errors as those of this package.

No gRPC: its threads do not live through a fork. Importing this loads the SDK, which starts no thread and opens no
connection; the first question opens one.
"""

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1.services.job_service import JobServiceClient
from google.cloud.aiplatform_v1.types import CustomJob, JobState
from google.protobuf.json_format import ParseDict, ParseError

from ipc.errors import InvalidSpec, RunnerUnavailable, SubmitError
from ipc.settings import VertexConfig
from workers.environments import CloudRefused
from workers.environments.gcp import GcpEnvironment, translated
from workers.vertex.request import NAME_LABEL, Place

T = TypeVar("T")

Ask = Callable[[JobServiceClient], T]

_HINT = (
    "The administrator gives this host's service account roles/aiplatform.user in the project, and enables the API"
    " aiplatform.googleapis.com there."
)
#: Kinds of credentials, which google.auth imports when it meets them.
_CREDENTIALS = (
    "google.auth.compute_engine",
    "google.auth.identity_pool",
    "google.oauth2.credentials",
    "google.oauth2.service_account",
)
#: Between two requests to create a job, where the project may ask no more for a time, in seconds.
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)


def preload() -> None:
    """Make what all clients and credentials share; nothing is asked, and no connection opened."""
    for name in _CREDENTIALS:
        importlib.import_module(name)
    client = JobServiceClient(credentials=AnonymousCredentials(), transport="rest")
    client.transport.close()
    ParseDict({"jobSpec": {"workerPoolSpecs": [{"containerSpec": {}}]}}, CustomJob.pb(CustomJob()))


class VertexRefused(RunnerUnavailable):
    """Vertex AI refused to answer a question: this host lacks a right, or the project has not the API enabled."""


class Seen(msgspec.Struct, frozen=True):
    """A job as Vertex AI has it. ``name`` is its whole name there, ``state`` the word of its state.

    ``has_started``: it has run before. ``error`` is why it failed, ``created`` a text that orders jobs by their age.
    """

    name: str
    state: str
    has_started: bool = False
    error: str = ""
    created: str = ""


class VertexApi:
    """The custom jobs of one region. Made for one job; for one thread at a time."""

    def __init__(self, config: VertexConfig, environment: GcpEnvironment, region: str) -> None:
        self._config = config
        self._environment = environment
        self._region = region
        self._client: JobServiceClient | None = None

    def create(self, place: Place, request: Mapping[str, Any]) -> Seen:
        """Create a job.

        Raises:
            InvalidSpec: the API has no such request.
            SubmitError: it was refused, and does not exist.
            RunnerUnavailable: there was no answer, and it may exist.
        """
        job = parse_request(request)
        asked = {"parent": place.path, "custom_job": job}
        for pause in (*PAUSES, None):
            try:
                return _seen(self._ask(lambda client: client.create_custom_job(request=asked, **self._limits)))
            except exceptions.TooManyRequests as error:
                if pause is None:
                    raise SubmitError(f"Vertex AI takes no more jobs for now (429): {error.message}") from error
                time.sleep(pause)
            except exceptions.ClientError as error:
                said = f"Vertex AI refused the job ({int(error.code or 0)}): {error.message}"
                raise SubmitError(said, hint=_HINT if isinstance(error, exceptions.Forbidden) else None) from error
        raise AssertionError("the last pause is none")

    def find(self, place: Place, name: str) -> list[Seen]:
        """Return the jobs of a workload name, the oldest first.

        Raises:
            RunnerUnavailable: there was no answer; a :class:`VertexRefused` where this host is refused one.
        """
        asked = {"parent": place.path, "filter": f'labels.{NAME_LABEL}="{name}"'}
        found = self._about(lambda client: list(client.list_custom_jobs(request=asked, **self._limits)))
        return sorted(map(_seen, found or ()), key=lambda job: (job.created, job.name))

    def get(self, job: str) -> Seen | None:
        """Return a job by its whole name, None where there is none; raises :class:`RunnerUnavailable`."""
        found = self._about(lambda client: client.get_custom_job(request={"name": job}, **self._limits))
        return None if found is None else _seen(found)

    def cancel(self, job: str) -> None:
        """Ask for the end of a job; one that has ended, or is not there, has it. Raises :class:`RunnerUnavailable`."""
        over = (exceptions.NotFound, exceptions.BadRequest)
        self._about(lambda client: client.cancel_custom_job(request={"name": job}, **self._limits), over)

    @property
    def _limits(self) -> dict[str, Any]:
        return {"timeout": self._config.timeout_seconds, "retry": None}

    def _open(self) -> JobServiceClient:
        if self._client is None:
            endpoint = self._config.endpoint or f"https://{self._region}-aiplatform.googleapis.com"
            credentials = self._environment.credentials
            options = {"api_endpoint": endpoint}
            self._client = JobServiceClient(credentials=credentials, transport="rest", client_options=options)
        return self._client

    def _about(self, ask: Ask[T], none: tuple[type[Exception], ...] = (exceptions.NotFound,)) -> T | None:
        """Return the answer to a question about a job; None for one of the errors ``none``.

        What refuses this host says nothing of the job, which may well run.
        """
        try:
            return self._ask(ask)
        except none:
            return None
        except exceptions.ClientError as error:
            said = f"Vertex AI refused to answer ({int(error.code or 0)}): {error.message}"
            raise VertexRefused(said, hint=_HINT) from error
        except CloudRefused as error:
            raise VertexRefused(error.message, hint=error.hint) from error

    def _ask(self, ask: Ask[T]) -> T:
        """Return an answer; raises a refusal as the SDK does, and all else as errors of this package."""
        client = self._open()
        try:
            with translated():
                return ask(client)
        except exceptions.ServerError as error:
            raise RunnerUnavailable(f"Vertex AI failed ({int(error.code or 0)}): {error.message}") from error
        finally:
            # Questions come seldom, and a worker may leave at any time.
            client.transport.close()


def parse_request(request: Mapping[str, Any]) -> CustomJob:
    """Return the request as the SDK has it; raises :class:`InvalidSpec` for what the API does not know."""
    job = CustomJob()
    try:
        ParseDict(dict(request), CustomJob.pb(job))
    except ParseError as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise InvalidSpec(f"Vertex AI has no such job: {said}.", hint="Correct resource_args.vertex.") from error
    return job


def _seen(job: CustomJob) -> Seen:
    started = job.start_time is not None
    created = "" if job.create_time is None else job.create_time.rfc3339()
    return Seen(job.name, JobState(job.state).name, started, job.error.message if job.error else "", created)
