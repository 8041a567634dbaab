"""Google Cloud: this host's default credentials, its project and region, and uploads to Cloud Storage.

Credentials are found as all of Google's libraries find them (``google.auth.default``): a file that
``GOOGLE_APPLICATION_CREDENTIALS`` names, which may say how to have an identity of another cloud or of a Kubernetes
cluster exchanged (workload identity federation); those of ``gcloud``; or the service account of the machine or the pod.
"""

import configparser
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google.auth
import requests
from google.auth import exceptions
from google.auth.transport.requests import AuthorizedSession, Request

from ipc.errors import InvalidSpec
from ipc.settings import EnvironmentConfig
from ipc.work_order import WorkOrder
from workers.environments import CloudRefused, CloudUnavailable, files_by_name

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud.storage import Client

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_REGION_VARIABLES = ("GOOGLE_CLOUD_REGION", "CLOUDSDK_COMPUTE_REGION")
_URI = re.compile(r"gs://(?P<bucket>[a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/(?P<key>.*))?")
_HINT = (
    "The administrator names a file with credentials in the agent's variable GOOGLE_APPLICATION_CREDENTIALS,"
    " or gives this host a service account."
)
_UPLOAD_SECONDS = 60.0


class GcpEnvironment:
    """Google Cloud as this host may use it. Nothing is read or asked before the first question."""

    def __init__(self, config: EnvironmentConfig, order: WorkOrder | None = None) -> None:
        del order  # Google's own settings say how its services are reached.
        self._config = config
        self._found: tuple[Any, str | None] | None = None

    @property
    def credentials(self) -> Any:
        """The credentials, which have themselves renewed; raises :class:`CloudRefused` where there are none."""
        return self._default()[0]

    @property
    def project(self) -> str:
        """The project: the configuration's, or the credentials'; raises :class:`CloudRefused`."""
        project = self._config.project or self._default()[1]
        if not project:
            raise CloudRefused(
                "The credentials of this host for Google Cloud belong to no project.",
                hint="The administrator sets environment.project, or the agent's variable GOOGLE_CLOUD_PROJECT.",
            )
        return project

    @property
    def region(self) -> str:
        """The region: the configuration's, as with W&B's agent else that of gcloud; raises :class:`CloudRefused`."""
        region = self._config.region or next(_usual_regions(), None)
        if not region:
            raise CloudRefused(
                "No region of Google Cloud is named.",
                hint="The administrator sets environment.region, such as us-central1.",
            )
        return region

    def verify(self) -> str:
        """Have a token made, which says whether the credentials are good; see the interface."""
        credentials = self.credentials
        with translated():
            credentials.refresh(Request())
        who = getattr(credentials, "service_account_email", None) or "the user of its credentials"
        return f"This host speaks to Google Cloud as {who}, in the project {self.project} and the region {self.region}."

    def session(self) -> AuthorizedSession:
        """Return a session whose requests carry a token, renewed where it is refused; to be closed."""
        return AuthorizedSession(self.credentials)

    def upload(self, path: Path, uri: str) -> None:
        """Copy a file, or what is below a directory, to Cloud Storage; see the interface."""
        bucket, key = split_uri(uri)
        with self._storage() as client:
            for file, name in files_by_name(path, key):
                client.bucket(bucket).blob(name).upload_from_filename(str(file), timeout=_UPLOAD_SECONDS)

    def remove(self, uri: str) -> None:
        """Remove a file from Cloud Storage; see the interface."""
        bucket, key = split_uri(uri)
        with self._storage() as client:
            # Told which are missing, it does not complain of them.
            client.bucket(bucket).delete_blobs([key], on_error=lambda _: None)

    @contextmanager
    def _storage(self) -> "Iterator[Client]":
        """Yield a client of Cloud Storage; raises as :meth:`upload`."""
        # Tens of megabytes, for those alone who upload.
        from google.api_core.exceptions import GoogleAPICallError  # noqa: PLC0415
        from google.cloud.storage import Client  # noqa: PLC0415

        client = Client(project=self.project, credentials=self.credentials)
        try:
            with translated():
                yield client
        except GoogleAPICallError as error:
            raise _from_call(error) from error
        finally:
            client.close()

    def _default(self) -> tuple[Any, str | None]:
        if self._found is None:
            try:
                with translated():
                    self._found = google.auth.default(scopes=_SCOPES)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                # The library takes any JSON for a file of its own.
                raise CloudRefused(
                    "The file with credentials for Google Cloud has not the form that Google's library knows.",
                    hint=_HINT,
                ) from error
        return self._found


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of ``gs://BUCKET/KEY``; raises :class:`InvalidSpec`."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise InvalidSpec(f"{uri!r} is no address in Cloud Storage.", hint="It has the form gs://BUCKET/PREFIX.")
    return match["bucket"], (match["key"] or "").lstrip("/")


@contextmanager
def translated() -> Iterator[None]:
    """Raise what Google's libraries raise for want of credentials, or of an answer, as errors of this package.

    What a service answers is left alone.

    Raises:
        CloudRefused: the credentials, or what they may do.
        CloudUnavailable: no answer.
    """
    try:
        yield
    except exceptions.DefaultCredentialsError as error:
        raise CloudRefused(
            f"This host has no credentials for Google Cloud: {_first_line(error)}", hint=_HINT
        ) from error
    except (exceptions.TransportError, requests.RequestException) as error:
        raise CloudUnavailable(f"Google Cloud cannot be reached: {_reason(error)}.") from error
    except exceptions.GoogleAuthError as error:
        if error.retryable:
            raise CloudUnavailable("Google Cloud gives this host no token for now.") from error
        said = _first_line(error)
        raise CloudRefused(f"Google Cloud refuses the credentials of this host: {said}", hint=_HINT) from error


def _from_call(error: "GoogleAPICallError") -> CloudRefused | CloudUnavailable:
    code = int(error.code or 0)
    if code in (408, 429) or code >= 500:
        return CloudUnavailable(f"Google Cloud does not take the request now ({code}).")
    return CloudRefused(f"Google Cloud refused the request ({code}): {_first_line(error.message)}", hint=_HINT)


def _first_line(error: object) -> str:
    args = error.args if isinstance(error, Exception) and error.args else (error,)
    # Behind its own sentence the library has that of the error that it met.
    said = ": ".join(str(one) for number, one in enumerate(args) if number == 0 or isinstance(one, Exception))
    return f"{' '.join(said.split())[:300].rstrip('.')}."


def _reason(error: BaseException) -> str:
    """Return the system's word for what failed, the innermost there is."""
    words = []
    cause: BaseException | None = error
    while cause is not None:
        words += [cause.strerror] if isinstance(cause, OSError) and cause.strerror else []
        cause = cause.__cause__ or cause.__context__
    return words[-1] if words else type(error).__name__


def _usual_regions() -> Iterator[str]:
    """Yield the regions that this host's settings for Google Cloud name, the nearest first."""
    yield from filter(None, (os.environ.get(name) for name in _REGION_VARIABLES))
    directory = Path(os.environ.get("CLOUDSDK_CONFIG") or Path(os.environ.get("HOME") or "/", ".config", "gcloud"))
    try:
        active = (directory / "active_config").read_text().strip() or "default"
    except OSError:
        active = "default"
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read(directory / "configurations" / f"config_{active}")
    except configparser.Error:
        return
    if region := settings.get("compute", "region", fallback=None):
        yield region
