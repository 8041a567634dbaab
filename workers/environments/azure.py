"""Azure: this host's default credentials, and uploads to Blob Storage.

Credentials are found as Azure's SDK finds them (``DefaultAzureCredential``): variables of the agent, workload identity
of a Kubernetes cluster, the managed identity of the machine, or those of ``az login``.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from azure.core import exceptions
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient

from ipc.errors import InvalidSpec
from ipc.settings import EnvironmentConfig
from ipc.work_order import WorkOrder
from workers.environments import CloudRefused, CloudUnavailable, files_by_name

_SCOPE = "https://management.azure.com/.default"
_URI = re.compile(
    r"https://(?P<account>[a-z0-9]{3,24})\.blob\.core\.windows\.net/(?P<container>[a-z0-9-]+)(?:/(?P<path>.*))?"
)
#: As with Azure's command line: the account, and how it is reached, of this host.
_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
_HINT = (
    "The administrator gives this host a managed identity, or the service account of its pod a workload identity, or"
    " sets AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET for the agent."
)
_UNAVAILABLE = (408, 429)
_NO_ANSWER = (exceptions.ServiceRequestError, exceptions.ServiceResponseError)
#: Of the credentials that the SDK tried, so many are named, with so many characters of what each said.
_MOST_TRIED, _MOST_SAID = 4, 150

#: Here alone the SDK tells the error of a credential that was there and failed: what it raises has a text of all.
_CHAIN_LOG = logging.getLogger("azure.identity._credentials.chained")
_CHAIN_LOG.setLevel(logging.DEBUG)
_CHAIN_LOG.propagate = False


class AzureEnvironment:
    """Azure as this host may use it. Nothing is read or asked before the first question."""

    def __init__(self, config: EnvironmentConfig, order: WorkOrder) -> None:
        del config, order  # Azure's own settings say who this host is.
        self._credential: DefaultAzureCredential | None = None

    def verify(self) -> str:
        """Have a token made, which says whether the credentials are good; see the interface."""
        self.token(_SCOPE)
        return "This host speaks to Azure with its default credentials."

    def token(self, scope: str) -> str:
        """Return a token for a service of Azure, renewed where it ends; raises as :meth:`verify`."""
        with translated():
            return self._open().get_token(scope).token

    def upload(self, path: Path, uri: str) -> None:
        """Copy a file, or what is below a directory, to Blob Storage; see the interface."""
        account, container, prefix = split_uri(uri)
        with translated(), self._service(account) as service:
            target = service.get_container_client(container)
            for file, name in files_by_name(path, prefix):
                with file.open("rb") as content:
                    target.upload_blob(name, content, overwrite=True)

    def remove(self, uri: str) -> None:
        """Remove a file from Blob Storage; see the interface."""
        account, container, path = split_uri(uri)
        with translated(), self._service(account) as service, suppress(exceptions.ResourceNotFoundError):
            service.get_blob_client(container, path).delete_blob()

    def _service(self, account: str) -> BlobServiceClient:
        text = os.environ.get(_CONNECTION)
        if text:
            return BlobServiceClient.from_connection_string(text)
        return BlobServiceClient(f"https://{account}.blob.core.windows.net", credential=self._open())

    def _open(self) -> DefaultAzureCredential:
        if self._credential is None:
            try:
                self._credential = DefaultAzureCredential()
            except (OSError, ValueError) as error:
                # It reads variables, and files that they name.
                what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
                raise CloudRefused(
                    f"The agent's variables for Azure cannot be used: {_shortened(what)}", hint=_HINT
                ) from error
        return self._credential


def split_uri(uri: str) -> tuple[str, str, str]:
    """Return account, container and path of an address of Blob Storage; raises :class:`InvalidSpec`."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise InvalidSpec(
            f"{uri!r} is no address in Azure's Blob Storage.",
            hint="It has the form https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX.",
        )
    return match["account"], match["container"], (match["path"] or "").lstrip("/")


@contextmanager
def translated() -> Iterator[None]:
    """Raise what Azure's SDK raises as errors of this package.

    Raises:
        CloudRefused: the credentials, or what they may do.
        CloudUnavailable: no answer.
    """
    try:
        with _failures() as failures:
            yield
    except exceptions.ClientAuthenticationError as error:
        raise _from_chain(error, failures) from error
    except exceptions.HttpResponseError as error:
        code = error.status_code or 0
        if code in _UNAVAILABLE or code >= 500:
            raise CloudUnavailable(f"Azure does not take the request now ({code}).") from error
        raise CloudRefused(f"Azure refused the request ({code}): {_said(error)}", hint=_HINT) from error
    except _NO_ANSWER as error:
        raise CloudUnavailable(f"Azure cannot be reached: {_said(error)}") from error


@contextmanager
def _failures() -> Iterator[list[BaseException]]:
    """Collect the errors of credentials that were there and failed."""
    heard = _Failures()
    _CHAIN_LOG.addHandler(heard)
    try:
        yield heard.errors
    finally:
        _CHAIN_LOG.removeHandler(heard)


class _Failures(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take the error of a message that has one."""
        if record.exc_info and record.exc_info[1] is not None:
            self.errors.append(record.exc_info[1])


def _from_chain(
    error: exceptions.ClientAuthenticationError, failures: list[BaseException]
) -> CloudRefused | CloudUnavailable:
    """Return why there is no token: the credential that was there and failed says it, else each that was looked for."""
    if failures and any(isinstance(one, _NO_ANSWER) for one in _causes(failures[-1])):
        return CloudUnavailable(f"Azure cannot be reached: {_said(failures[-1])}")
    said = _said(failures[-1]) if failures else _tried(error)
    return CloudRefused(f"Azure has no credentials of this host that it takes: {said}", hint=_HINT)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _tried(error: exceptions.AzureError) -> str:
    """Return what the first of the credentials said that the SDK looked for, as far as it says so."""
    tried = [line.strip()[:_MOST_SAID].rstrip(". ") for line in str(error.message).splitlines() if line[:1] == "\t"]
    return f"{'; '.join(tried[:_MOST_TRIED])}." if tried else _said(error)


def _said(error: BaseException) -> str:
    """Return the first sentence that the SDK has; what follows is advice for programmers."""
    return _shortened(str(getattr(error, "message", None) or error) or type(error).__name__)


def _shortened(text: str) -> str:
    return f"{text.strip().splitlines()[0][:300].rstrip('.')}."
