"""Sessions at AWS: whose credentials, renewed how, in which region; and the requests made through them.

Where credentials come from is the SDK's own chain: variables, profiles, single sign-on, a pod's token (IRSA), the
instance's role (IMDS); all but fixed keys are renewed before they expire. A role to take on beside that is
``launchd.aws.role_arn``.
"""

import encodings.idna  # noqa: F401 - looked up by the first request
import logging
import os
import threading
from typing import Any

from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.session import Session
from msgspec.structs import replace

from workers.aws.errors import EXPIRED, NO_CREDENTIALS, UNKNOWN_CREDENTIALS, AwsRefused
from workers.aws.models import shared_loader
from workers.aws.requests import Aws, Login
from workers.aws.sdk_errors import translated

#: In requests to AWS, so that its logs tell who asked.
_USER_AGENT = "launchd"
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 60
_TRIES = 4
#: How many connections of one service are kept open.
_CONNECTIONS = 32
#: Codes for credentials that may be others by the next request.
_READ_ANEW = EXPIRED | UNKNOWN_CREDENTIALS | {NO_CREDENTIALS}

# At their lowest level they log requests in full, with the keys of jobs in them; above it, each session's beginnings.
for _name in ("boto3", "botocore", "urllib3", "s3transfer"):
    logging.getLogger(_name).setLevel(logging.WARNING)
# More requests at a time than connections that are kept are no fault.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class AwsSession(Aws):
    """AWS by the SDK, for any thread. What is needed is made when it is, and again where credentials expired."""

    def __init__(self, login: Login) -> None:
        self._login = login
        # The SDK's clients are for all threads; what makes them is for one.
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._clients: dict[str, Any] = {}

    @property
    def region(self) -> str:
        """The region; see the base class."""
        with self._lock, translated("the region's name"):
            found = self._made().get_config_variable("region")
        if not found:
            self.forget()
            raise AwsRefused(
                "This host does not know which region of AWS is meant.",
                "NoRegion",
                "The administrator sets environment.region, or AWS_REGION.",
            )
        return str(found)

    def call(self, service: str, operation: str, doing: str, **parameters: Any) -> dict[str, Any]:
        """Return AWS's answer to one request; see the base class."""
        try:
            with translated(doing):
                answer: dict[str, Any] = getattr(self.client(service), operation)(**parameters)
        except AwsRefused as error:
            if error.code in _READ_ANEW:
                # Renewed from outside, in a file: a session would never read it again.
                self.forget()
            raise
        return answer

    def client(self, service: str) -> Any:
        """Return the SDK's client of a service; what it raises is for :func:`workers.aws.sdk_errors.translated`."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._made().create_client(service, config=_config())
            return self._clients[service]

    def forget(self) -> None:
        """Close what is open; the next request reads credentials anew."""
        with self._lock:
            clients, self._clients = self._clients, {}
            self._session = None
        for client in clients.values():
            client.close()

    def _made(self) -> Session:
        if self._session is None:
            self._session = self._new_session()
        return self._session

    def _new_session(self) -> Session:
        made = Session()
        made.register_component("data_loader", shared_loader())
        made.user_agent_extra = _USER_AGENT
        settings = self._login.settings
        profile = self._login.profile or settings.profile
        if profile is not None:
            made.set_config_variable("profile", profile)
        region = self._login.region or os.environ.get("AWS_REGION")
        if region:
            made.set_config_variable("region", region)
        if settings.role_arn is not None:
            self._take_on_role(made, settings.role_arn)
        return made

    def _take_on_role(self, made: Session, role: str) -> None:
        """Have a session use the credentials of ``role``, which are renewed before they expire."""
        settings = self._login.settings
        source = AwsSession(replace(self._login, settings=replace(settings, role_arn=None)))
        external = {"ExternalId": settings.external_id} if settings.external_id else {}

        def renew() -> dict[str, str]:
            given = source.client("sts").assume_role(RoleArn=role, RoleSessionName=_USER_AGENT, **external)
            return _as_refreshed(given["Credentials"])

        made._credentials = DeferredRefreshableCredentials(renew, "assume-role")


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
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
    )
