"""Google Cloud as workers ask it: credentials, custom jobs of Vertex AI, and Cloud Logging.

Where the agent runs jobs on Vertex AI, one process asks for all of them; elsewhere each worker has the SDK. Importing
this loads none. A custom job is given in the form of the API, with the names of its fields in small letters.
"""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ipc.errors import HostError, InvalidSpec, JobError, RunnerUnavailable, SubmitError
from ipc.request_service import find_service
from ipc.settings import EnvironmentConfig, VertexConfig
from ipc.targets import GCP
from ipc.work_order import WorkOrder
from workers.environments import CloudRefused, CloudUnavailable, environment_config
from workers.extras import needed_for
from workers.request_service import NoService, NoServiceAnswer, ask, nothing_to_note

T = TypeVar("T")
Note = Callable[[], None]

#: What brings the SDK, which most workers never load.
_SESSION = "workers.gcp.session:GcpSession"


class VertexRefused(RunnerUnavailable):
    """Vertex AI refused to answer a question: this host lacks a right, or the project has not the API enabled."""


class VertexBusy(RunnerUnavailable):
    """Vertex AI takes no more jobs for now, and has created none."""


class Seen(msgspec.Struct, frozen=True):
    """A job as Vertex AI has it. ``name`` is its whole name there, ``state`` the word of its state.

    ``has_started``: it has run before. ``error`` is why it failed, ``created`` a text that orders jobs by their age.
    """

    name: str
    state: str
    has_started: bool = False
    error: str = ""
    created: str = ""


class Page(msgspec.Struct, frozen=True):
    """What Cloud Logging has answered: the status of HTTP, and, where that is 200, a page of entries as JSON."""

    status: int
    body: bytes = b""


class Login(msgspec.Struct, frozen=True):
    """Where in Google Cloud this host is, and how it reaches Vertex AI."""

    environment: EnvironmentConfig
    vertex: VertexConfig


class Gcp(ABC):
    """Google Cloud with one login, for one thread. Each question may raise :class:`CloudUnavailable`."""

    @abstractmethod
    def project(self) -> str:
        """Return the project: the configuration's, or the credentials'; raises :class:`CloudRefused`."""

    @abstractmethod
    def region(self) -> str:
        """Return the region: the configuration's, or this host's own; raises :class:`CloudRefused`."""

    @abstractmethod
    def verify(self) -> str:
        """Have a token made, which says whether the credentials are good; raises :class:`CloudRefused`."""

    @abstractmethod
    def token(self) -> str:
        """Return an access token, renewed where it is needed; raises :class:`CloudRefused`."""

    @abstractmethod
    def check_job(self, job: dict[str, Any]) -> None:
        """Raise :class:`InvalidSpec` for a custom job that the API does not know; asks no service."""

    @abstractmethod
    def create_job(self, project: str, region: str, job: dict[str, Any], asking: Note = nothing_to_note) -> Seen:
        """Create a custom job; ``asking`` is called at the moment from which on it may exist.

        Raises:
            InvalidSpec: the API has no such request.
            VertexBusy: the project may ask no more for a time.
            SubmitError: it was refused, and does not exist.
            CloudRefused: likewise, for want of credentials.
            RunnerUnavailable: there was no answer, and it may exist.
        """

    @abstractmethod
    def find_jobs(self, project: str, region: str, wanted: str) -> list[Seen]:
        """Return the jobs that the filter ``wanted`` names, the oldest first.

        Raises:
            RunnerUnavailable: there was no answer; a :class:`VertexRefused` where this host is refused one.
        """

    @abstractmethod
    def find_job(self, region: str, name: str) -> Seen | None:
        """Return a job by its whole name, None where there is none; raises as :meth:`find_jobs`."""

    @abstractmethod
    def cancel_job(self, region: str, name: str) -> None:
        """Ask for the end of a job; one that has ended, or is not there, has it. Raises as :meth:`find_jobs`."""

    @abstractmethod
    def log_page(self, question: dict[str, Any]) -> Page:
        """Return what Cloud Logging answers to ``entries:list``; raises :class:`CloudRefused`."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""


def open_gcp(order: WorkOrder) -> Gcp:
    """Return Google Cloud for the job of ``order``; nothing is asked yet.

    Raises:
        HostError: this agent was installed without the SDK.
    """
    login = Login(environment_config(order, GCP), order.vertex)
    service = find_service(GCP)
    return open_session(login) if service is None else AskedGcp(service, login)


def open_session(login: Login) -> Gcp:
    """Return Google Cloud by its SDK; raises :class:`HostError` where this agent was installed without it."""
    with needed_for("Google Cloud", "gcp"):
        opened: Gcp = pkgutil.resolve_name(_SESSION)(login)
    return opened


# -- to and from the process that asks

#: What can be asked: the names of the questions.
QUESTIONS = frozenset(name for name in Gcp.__abstractmethods__ if name != "close")

#: What is raised across the border, by name; of another error, the nearest of its bases that is here.
ERRORS: dict[str, type[JobError]] = {
    kind.__name__: kind
    for kind in (
        VertexRefused,
        VertexBusy,
        CloudRefused,
        CloudUnavailable,
        InvalidSpec,
        SubmitError,
        HostError,
        RunnerUnavailable,
    )
}


class Question(msgspec.Struct, frozen=True):
    """One question: a method of :class:`Gcp`, and what it is given."""

    login: Login
    name: str
    given: tuple[Any, ...]


class Answered(msgspec.Struct, frozen=True, tag=True):
    """What the method returned, as MessagePack."""

    value: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, tag=True):
    """What the method raised: ``kind`` is one of :data:`ERRORS`."""

    kind: str
    message: str
    hint: str | None = None


Reply = Answered | Failed

# All made on import: msgspec learns types in one thread at a time.
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_nothing: msgspec.msgpack.Decoder[None] = msgspec.msgpack.Decoder(None)
_text = msgspec.msgpack.Decoder(str)
_seen = msgspec.msgpack.Decoder(Seen)
_perhaps_seen: msgspec.msgpack.Decoder[Seen | None] = msgspec.msgpack.Decoder(Seen | None)
_all_seen = msgspec.msgpack.Decoder(list[Seen])
_page = msgspec.msgpack.Decoder(Page)


class AskedGcp(Gcp):
    """Google Cloud through the process at ``socket``; see the base class."""

    def __init__(self, socket: str, login: Login) -> None:
        self._socket = socket
        self._login = login

    def project(self) -> str:
        """See the base class."""
        return self._asked(_text, "project")

    def region(self) -> str:
        """See the base class."""
        return self._asked(_text, "region")

    def verify(self) -> str:
        """See the base class."""
        return self._asked(_text, "verify")

    def token(self) -> str:
        """See the base class."""
        return self._asked(_text, "token")

    def check_job(self, job: dict[str, Any]) -> None:
        """See the base class."""
        self._asked(_nothing, "check_job", job)

    def create_job(self, project: str, region: str, job: dict[str, Any], asking: Note = nothing_to_note) -> Seen:
        """See the base class."""
        # A second job would not be taken for the first.
        return self._asked(_seen, "create_job", project, region, job, changes=True, asking=asking)

    def find_jobs(self, project: str, region: str, wanted: str) -> list[Seen]:
        """See the base class."""
        return self._asked(_all_seen, "find_jobs", project, region, wanted)

    def find_job(self, region: str, name: str) -> Seen | None:
        """See the base class."""
        return self._asked(_perhaps_seen, "find_job", region, name)

    def cancel_job(self, region: str, name: str) -> None:
        """See the base class."""
        self._asked(_nothing, "cancel_job", region, name)

    def log_page(self, question: dict[str, Any]) -> Page:
        """See the base class."""
        return self._asked(_page, "log_page", question)

    def close(self) -> None:
        """Do nothing: what is open is the other process's."""

    def _asked(
        self,
        decoder: msgspec.msgpack.Decoder[T],
        name: str,
        *given: Any,
        changes: bool = False,
        asking: Note = nothing_to_note,
    ) -> T:
        try:
            question = msgspec.msgpack.encode(Question(self._login, name, given))
        except OverflowError as error:
            raise InvalidSpec(
                "Vertex AI has no such job: it has a number of more than 64 bits.", hint="Correct resource_args.vertex."
            ) from error
        try:
            reply = _reply_decoder.decode(ask(self._socket, question, changes=changes, asking=asking))
        except (NoService, NoServiceAnswer) as error:
            raise CloudUnavailable(f"The agent's process that asks Google Cloud gave no answer: {error}.") from error
        match reply:
            case Answered(value):
                return decoder.decode(value)
            case Failed(kind, message, hint):
                raise ERRORS[kind](message, hint=hint)
