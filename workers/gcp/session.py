"""Google Cloud by its SDK, with the SDK's errors as those of this package.

No gRPC: its threads do not live through a fork. Importing this loads the SDK, which starts no thread and opens no
connection; the first question opens one.
"""

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from google.api_core import exceptions
from google.auth.transport.requests import Request
from google.cloud.aiplatform_v1.services.job_service import JobServiceClient
from google.cloud.aiplatform_v1.types import CustomJob, JobState
from google.protobuf.json_format import ParseDict, ParseError

from ipc.errors import InvalidSpec, RunnerUnavailable, SubmitError
from workers.environments import CloudRefused
from workers.environments.gcp import GcpEnvironment, translated
from workers.gcp.requests import Gcp, Login, Note, Page, Seen, VertexBusy, VertexRefused
from workers.request_service import nothing_to_note

T = TypeVar("T")

Ask = Callable[[JobServiceClient], T]

_HINT = (
    "The administrator gives this host's service account roles/aiplatform.user in the project, and enables the API"
    " aiplatform.googleapis.com there."
)
_LOGGING = "https://logging.googleapis.com"
_LONGEST_PAGE = 64 << 20


class GcpSession(Gcp):
    """Google Cloud by its SDK; see the base class."""

    def __init__(self, login: Login) -> None:
        self._config = login.vertex
        self._environment = GcpEnvironment(login.environment)
        self._clients: dict[str, JobServiceClient] = {}

    def project(self) -> str:
        """See the base class."""
        return self._environment.project

    def region(self) -> str:
        """See the base class."""
        return self._environment.region

    def verify(self) -> str:
        """See the base class."""
        return self._environment.verify()

    def token(self) -> str:
        """See the base class."""
        credentials = self._environment.credentials
        if not credentials.valid:
            with translated():
                credentials.refresh(Request())
        return str(credentials.token)

    def check_job(self, job: dict[str, Any]) -> None:
        """See the base class."""
        parse_request(job)

    def create_job(self, project: str, region: str, job: dict[str, Any], asking: Note = nothing_to_note) -> Seen:
        """See the base class."""
        asked = {"parent": _parent(project, region), "custom_job": parse_request(job)}
        asking()
        try:
            return _seen(self._ask(region, lambda client: client.create_custom_job(request=asked, **self._limits)))
        except exceptions.TooManyRequests as error:
            raise VertexBusy(f"Vertex AI takes no more jobs for now (429): {error.message}") from error
        except exceptions.ClientError as error:
            said = f"Vertex AI refused the job ({int(error.code or 0)}): {error.message}"
            raise SubmitError(said, hint=_HINT if isinstance(error, exceptions.Forbidden) else None) from error

    def find_jobs(self, project: str, region: str, wanted: str) -> list[Seen]:
        """See the base class."""
        asked = {"parent": _parent(project, region), "filter": wanted}
        found = self._about(region, lambda client: list(client.list_custom_jobs(request=asked, **self._limits)))
        return sorted(map(_seen, found or ()), key=lambda job: (job.created, job.name))

    def find_job(self, region: str, name: str) -> Seen | None:
        """See the base class."""
        found = self._about(region, lambda client: client.get_custom_job(request={"name": name}, **self._limits))
        return None if found is None else _seen(found)

    def cancel_job(self, region: str, name: str) -> None:
        """See the base class."""
        over = (exceptions.NotFound, exceptions.BadRequest)
        self._about(region, lambda client: client.cancel_custom_job(request={"name": name}, **self._limits), over)

    def log_page(self, question: dict[str, Any]) -> Page:
        """See the base class."""
        url = f"{self._config.logging_endpoint or _LOGGING}/v2/entries:list"
        seconds = self._config.timeout_seconds
        with (
            self._environment.session() as session,
            translated(),
            session.post(url, json=question, timeout=seconds, stream=True) as answer,
        ):
            if answer.status_code != HTTPStatus.OK:
                return Page(answer.status_code)
            return Page(answer.status_code, b"".join(_bounded(answer.iter_content(1 << 16))))

    def close(self) -> None:
        """Close what is open."""
        for client in self._clients.values():
            client.transport.close()
        self._clients = {}

    @property
    def _limits(self) -> dict[str, Any]:
        return {"timeout": self._config.timeout_seconds, "retry": None}

    def _open(self, region: str) -> JobServiceClient:
        if region not in self._clients:
            endpoint = self._config.endpoint or f"https://{region}-aiplatform.googleapis.com"
            credentials = self._environment.credentials
            options = {"api_endpoint": endpoint}
            self._clients[region] = JobServiceClient(credentials=credentials, transport="rest", client_options=options)
        return self._clients[region]

    def _about(self, region: str, ask: Ask[T], none: tuple[type[Exception], ...] = (exceptions.NotFound,)) -> T | None:
        """Return the answer to a question about a job; None for one of the errors ``none``.

        What refuses this host says nothing of the job, which may well run.
        """
        try:
            return self._ask(region, ask)
        except none:
            return None
        except exceptions.ClientError as error:
            said = f"Vertex AI refused to answer ({int(error.code or 0)}): {error.message}"
            raise VertexRefused(said, hint=_HINT) from error
        except CloudRefused as error:
            raise VertexRefused(error.message, hint=error.hint) from error

    def _ask(self, region: str, ask: Ask[T]) -> T:
        """Return an answer; raises a refusal as the SDK does, and all else as errors of this package."""
        client = self._open(region)
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


def _parent(project: str, region: str) -> str:
    return f"projects/{project}/locations/{region}"


def _bounded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > _LONGEST_PAGE:
            raise RunnerUnavailable("Cloud Logging answers with more than was asked for.")
        yield piece


def _seen(job: CustomJob) -> Seen:
    started = job.start_time is not None
    created = "" if job.create_time is None else job.create_time.rfc3339()
    return Seen(job.name, JobState(job.state).name, started, job.error.message if job.error else "", created)
