"""AWS as workers ask it.

Where the agent runs jobs at AWS, one process asks for all of them; elsewhere each worker has the SDK. Importing this
loads none.
"""

import pkgutil
from abc import ABC, abstractmethod
from typing import Any

import msgspec

from ipc.errors import HostError
from ipc.request_service import find_service
from ipc.settings import AwsConfig
from ipc.targets import AWS
from workers.aws.errors import PARAMETER_VALIDATION, AwsRefused, AwsThrottled
from workers.environments import CloudUnavailable
from workers.extras import needed_for
from workers.request_service import NoService, NoServiceAnswer, ask

#: What brings the SDK, which most workers never load.
_SESSION = "workers.aws.session:AwsSession"
#: How the requests begin that may not be made twice without a look at what came of the first.
_CREATES = "create_"


class Caller(msgspec.Struct, frozen=True):
    """As whom this host speaks to AWS."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """The part of AWS that the account belongs to: ``aws``, ``aws-cn``, ``aws-us-gov``."""
        return self.arn.split(":")[1]


class Login(msgspec.Struct, frozen=True):
    """Whose credentials are used, and where; ``region`` and ``profile`` of None are what the host itself has."""

    settings: AwsConfig
    region: str | None = None
    profile: str | None = None


class Aws(ABC):
    """AWS with one login."""

    @property
    @abstractmethod
    def region(self) -> str:
        """The region; raises :class:`AwsRefused` where nothing names one."""

    @abstractmethod
    def call(self, service: str, operation: str, doing: str, **parameters: Any) -> dict[str, Any]:
        """Return AWS's answer to one request; ``doing`` says in errors what it was.

        Raises:
            AwsRefused: AWS said no.
            CloudUnavailable: there is no answer.
        """

    @abstractmethod
    def forget(self) -> None:
        """Close what is open; the next request reads credentials anew."""

    def caller(self) -> Caller:
        """Return as whom this host speaks; raises :class:`AwsRefused` and :class:`CloudUnavailable`."""
        answer = self.call("sts", "get_caller_identity", "the question who this host is")
        return Caller(str(answer["Account"]), str(answer["Arn"]))


def open_aws(settings: AwsConfig, region: str | None = None, profile: str | None = None) -> Aws:
    """Return AWS as ``settings`` have it; nothing is asked yet. For one thread.

    Raises:
        HostError: this agent was installed without the SDK.
    """
    login = Login(settings, region, profile)
    service = find_service(AWS)
    return open_session(login) if service is None else AskedAws(service, login)


def open_session(login: Login) -> Aws:
    """Return AWS by the SDK; raises :class:`HostError` where this agent was installed without it."""
    with needed_for("AWS", "aws"):
        opened: Aws = pkgutil.resolve_name(_SESSION)(login)
    return opened


# -- to and from the process that asks


class Call(msgspec.Struct, frozen=True, tag=True):
    """One request to AWS; see :meth:`Aws.call`."""

    login: Login
    service: str
    operation: str
    doing: str
    parameters: dict[str, Any]


class RegionQuestion(msgspec.Struct, frozen=True, tag=True):
    """The question for the region of a login."""

    login: Login


class Answered(msgspec.Struct, frozen=True, tag=True):
    """What AWS has answered, or which region it is."""

    value: Any


class Refused(msgspec.Struct, frozen=True, tag=True):
    """AWS said no; see :class:`AwsRefused`."""

    message: str
    code: str
    hint: str | None = None


class Unavailable(msgspec.Struct, frozen=True, tag=True):
    """There is no answer; ``throttled`` says that AWS did nothing."""

    message: str
    hint: str | None = None
    throttled: bool = False


class Unable(msgspec.Struct, frozen=True, tag=True):
    """This host lacks something, such as the SDK."""

    message: str
    hint: str | None = None


Question = Call | RegionQuestion
Reply = Answered | Refused | Unavailable | Unable

_encode = msgspec.msgpack.encode
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


class AskedAws(Aws):
    """AWS through the process at ``socket``."""

    def __init__(self, socket: str, login: Login) -> None:
        self._socket = socket
        self._login = login

    @property
    def region(self) -> str:
        """The region; see the base class."""
        return str(self._asked(RegionQuestion(self._login), "the region's name"))

    def call(self, service: str, operation: str, doing: str, **parameters: Any) -> dict[str, Any]:
        """Return AWS's answer to one request; see the base class."""
        question = Call(self._login, service, operation, doing, parameters)
        answer: dict[str, Any] = self._asked(question, doing, changes=operation.startswith(_CREATES))
        return answer

    def forget(self) -> None:
        """Do nothing: what is open is the other process's."""

    def _asked(self, question: Question, doing: str, *, changes: bool = False) -> Any:
        try:
            content = _encode(question)
        except OverflowError as error:
            said = f"AWS would refuse {doing}: it has a number of more than 64 bits."
            raise AwsRefused(said, PARAMETER_VALIDATION) from error
        try:
            reply = _reply_decoder.decode(ask(self._socket, content, changes=changes))
        except (NoService, NoServiceAnswer) as error:
            raise CloudUnavailable(f"The agent's process that asks AWS gave no answer to {doing}: {error}.") from error
        match reply:
            case Answered(value):
                return value
            case Refused(message, code, hint):
                raise AwsRefused(message, code, hint)
            case Unavailable(message, hint, throttled):
                raise (AwsThrottled if throttled else CloudUnavailable)(message, hint=hint)
            case Unable(message, hint):
                raise HostError(message, hint=hint)
