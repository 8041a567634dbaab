"""Sessions at AWS: whose credentials, renewed how, in which region; and the requests made through them.

Where credentials come from is the SDK's own chain: variables, profiles, single sign-on, a pod's token (IRSA), the
instance's role (IMDS); all but fixed keys are renewed before they expire. A role to take on beside that is
``launchd.aws.role_arn``.
"""

import encodings.idna  # noqa: F401 - looked up by the first request
import logging
import os
from collections.abc import Iterable
from typing import Any

import msgspec
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.session import Session

from ipc.settings import AwsConfig
from workers.aws.errors import EXPIRED, AwsRefused, translated
from workers.aws.models import shared_loader

#: In requests to AWS, so that its logs tell who asked.
_USER_AGENT = "launchd"
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 60
_TRIES = 4
#: Nothing is signed with it.
_NO_KEY = "none"

# At their lowest level they log requests in full, with the keys of jobs in them; above it, each session's beginnings.
for _name in ("boto3", "botocore", "urllib3", "s3transfer"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Caller(msgspec.Struct, frozen=True):
    """As whom this host speaks to AWS."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        """The part of AWS that the account belongs to: ``aws``, ``aws-cn``, ``aws-us-gov``."""
        return self.arn.split(":")[1]


class Aws:
    """AWS for one thread. Sessions and clients are made when they are needed, and again where credentials expired."""

    def __init__(self, settings: AwsConfig, region: str | None = None, profile: str | None = None) -> None:
        self._settings = settings
        self._region = region
        self._profile = profile or settings.profile
        self._session: Session | None = None
        self._clients: dict[str, Any] = {}

    @property
    def region(self) -> str:
        """The region; raises :class:`AwsRefused` where nothing names one."""
        with translated("the region's name"):
            found = self._made().get_config_variable("region")
        if not found:
            raise AwsRefused(
                "This host does not know which region of AWS is meant.",
                "NoRegion",
                "The administrator sets environment.region, or AWS_REGION.",
            )
        return str(found)

    def caller(self) -> Caller:
        """Return as whom this host speaks; raises :class:`AwsRefused` and :class:`CloudUnavailable`."""
        answer = self.call("sts", "get_caller_identity", "the question who this host is")
        return Caller(str(answer["Account"]), str(answer["Arn"]))

    def call(self, service: str, operation: str, doing: str, **parameters: Any) -> dict[str, Any]:
        """Return AWS's answer to one request; ``doing`` says in errors what it was.

        Raises:
            AwsRefused: AWS said no.
            CloudUnavailable: there is no answer.
        """
        try:
            with translated(doing):
                answer: dict[str, Any] = getattr(self.client(service), operation)(**parameters)
        except AwsRefused as error:
            if error.code in EXPIRED:
                # Renewed from outside, in a file: a session would never read it again.
                self.forget()
            raise
        return answer

    def client(self, service: str) -> Any:
        """Return the SDK's client of a service; what it raises is for :func:`workers.aws.errors.translated`."""
        if service not in self._clients:
            self._clients[service] = self._made().create_client(service, config=_config())
        return self._clients[service]

    def forget(self) -> None:
        """Close what is open; the next request reads credentials anew."""
        for client in self._clients.values():
            client.close()
        self._clients = {}
        self._session = None

    def _made(self) -> Session:
        if self._session is None:
            self._session = self._new_session()
        return self._session

    def _new_session(self) -> Session:
        made = _plain_session()
        if self._profile is not None:
            made.set_config_variable("profile", self._profile)
        region = self._region or os.environ.get("AWS_REGION")
        if region:
            made.set_config_variable("region", region)
        if self._settings.role_arn is not None:
            self._take_on_role(made, self._settings.role_arn)
        return made

    def _take_on_role(self, made: Session, role: str) -> None:
        """Have a session use the credentials of ``role``, which are renewed before they expire."""
        source = Aws(msgspec.structs.replace(self._settings, role_arn=None), self._region, self._profile)
        external = {"ExternalId": self._settings.external_id} if self._settings.external_id else {}

        def renew() -> dict[str, str]:
            given = source.client("sts").assume_role(RoleArn=role, RoleSessionName=_USER_AGENT, **external)
            return _as_refreshed(given["Credentials"])

        made._credentials = DeferredRefreshableCredentials(renew, "assume-role")


def _plain_session() -> Session:
    made = Session()
    made.register_component("data_loader", shared_loader())
    made.user_agent_extra = _USER_AGENT
    return made


def preload(services: Iterable[str]) -> None:
    """Read what sessions read of ``services``, without credentials: in the fork server, for all workers."""
    made = _plain_session()
    for service in services:
        made.create_client(
            service, region_name="us-east-1", aws_access_key_id=_NO_KEY, aws_secret_access_key=_NO_KEY, config=_config()
        ).close()


def _as_refreshed(given: dict[str, Any]) -> dict[str, str]:
    """Return STS's credentials as the SDK takes them from what renews them."""
    return {
        "access_key": given["AccessKeyId"],
        "secret_key": given["SecretAccessKey"],
        "token": given["SessionToken"],
        "expiry_time": given["Expiration"].isoformat(),
    }


def _config() -> Config:
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_ANSWER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
    )
