"""The client of a registry that speaks the Distribution API (OCI, Docker Registry v2): is there such an image?

Owns the requests, the ways to show credentials, and what is tried again. Every problem becomes a sentence.
"""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter

from ipc.settings import RegistryAccess
from workers.docker.images import ImageName
from workers.registries import Pause, RegistryError
from workers.registries.credentials import Credentials, CredentialSources
from workers.registries.names import api_host, is_loopback, split
from workers.retry_after import read_retry_after

T = TypeVar("T")

#: Builders push either kind; an index stands for images of several platforms.
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)

CONNECT_SECONDS = 10.0
#: Before each further request, in seconds; a registry may ask for more.
PAUSES = (1.0, 2.0, 4.0)
LONGEST_PAUSE = 60.0

_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_REFUSED, _BROKEN = 400, 500
_TLS_PORT = 443
_LONGEST_ANSWER = 1 << 20
_CLIENT = "launchd"
_TRUST = "The administrator names its certificates in launchd.registry.ca_file."
_LOG_IN = "The administrator gives this host credentials: launchd.registry.password_file, or `docker login`."


class _TryAgain(Exception):
    """The registry may answer a later request; ``seconds`` is how long it asked to be left alone."""

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class _Untrusted(Exception):
    """What answered does not speak TLS, or shows a certificate that is not trusted."""


class _Answer(msgspec.Struct, frozen=True):
    """What came back, as far as it is read."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Token(msgspec.Struct, frozen=True):
    """A token server's answer; both names are in use."""

    token: str = ""
    access_token: str = ""


class Distribution:
    """Registries, each by the name that its images begin with."""

    def __init__(self, access: RegistryAccess, sources: CredentialSources, pause: Pause) -> None:
        self._access = access
        self._sources = sources
        self._pause = pause

    def digest(self, image: ImageName) -> str | None:
        """Return the digest of the image's manifest, None where there is none; see :class:`Registry`."""
        return self._patiently(split(image)[0], lambda session: self._digest(session, image), f" for {image}")

    def post_form(self, registry: str, path: str, form: Mapping[str, str]) -> bytes:
        """Return what a registry answers to a form, which goes over TLS alone.

        Raises:
            RegistryError: it refuses the form, or gives no answer.
        """
        address = f"https://{api_host(registry)}{path}"

        def post(session: requests.Session) -> bytes:
            answer = self._request(session, "POST", address, registry, data=dict(form))
            _check(answer, registry, None)
            return answer.body

        return self._patiently(registry, post, "")

    def _patiently(self, registry: str, act: Callable[[requests.Session], T], what: str) -> T:
        """Return what comes of asking a registry, which is asked again where that makes sense."""
        problem = _TryAgain("")
        for number, seconds in enumerate((0.0, *PAUSES)):
            if number:
                self._pause(min(max(seconds, problem.seconds), LONGEST_PAUSE))
            try:
                with self._session(registry) as session:
                    return act(session)
            except _TryAgain as error:
                problem = error
            except _Untrusted as error:
                raise RegistryError(str(error), hint=_TRUST) from error
        raise RegistryError(
            f"{problem} It was asked {len(PAUSES) + 1} times{what}.", hint="Launch the job again later."
        )

    def _digest(self, session: requests.Session, image: ImageName) -> str | None:
        registry, name = split(image)
        path = f"/v2/{name}/manifests/{image.digest or image.tag}"
        answer = self._send(session, registry, path, None)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            challenge = answer.headers.get("WWW-Authenticate", "")
            answer = self._send(session, registry, path, self._authorization(session, registry, name, challenge))
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        _check(answer, registry, image)
        digest = answer.headers.get("Docker-Content-Digest")
        if not digest:
            raise RegistryError(f"The registry {registry} has {image}, and does not say by which digest.")
        return str(digest)

    # -- requests

    def _session(self, registry: str) -> requests.Session:
        session = requests.Session()
        # A password in a .netrc would go before the credentials that were chosen.
        session.auth = _leave_alone
        session.headers["User-Agent"] = _CLIENT
        if self._is_insecure(registry):
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        elif self._access.ca_file is not None:
            session.mount("https://", _TrustingAdapter(self._access.ca_file))
        return session

    def _is_insecure(self, registry: str) -> bool:
        return self._access.insecure or is_loopback(registry)

    def _send(self, session: requests.Session, registry: str, path: str, authorization: str | None) -> _Answer:
        """Ask for the head of a document, over plain HTTP where nothing else is spoken and that is allowed."""
        headers = {"Accept": ", ".join(MANIFEST_TYPES)} | ({"Authorization": authorization} if authorization else {})
        scheme = "http" if self._is_insecure(registry) and not self._speaks_tls(registry) else "https"
        return self._request(session, "HEAD", f"{scheme}://{api_host(registry)}{path}", registry, headers=headers)

    def _speaks_tls(self, registry: str) -> bool:
        """Return whether a registry that may be insecure speaks TLS all the same. Its certificate is not looked at."""
        place = urlsplit(f"//{registry}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        seconds = min(CONNECT_SECONDS, self._access.timeout_seconds)
        try:
            with (
                socket.create_connection((place.hostname, place.port or _TLS_PORT), seconds) as plain,
                context.wrap_socket(plain, server_hostname=place.hostname),
            ):
                return True
        except OSError:
            # The request itself says what else is wrong.
            return False

    def _request(self, session: requests.Session, method: str, address: str, registry: str, **given: Any) -> _Answer:
        """Send one request; the answer is given where it is worth reading."""
        # Said for each request: a variable of the environment goes before what a session says.
        given = given if not self._is_insecure(registry) else {**given, "verify": False}
        timeout = (min(CONNECT_SECONDS, self._access.timeout_seconds), self._access.timeout_seconds)
        try:
            with session.request(method, address, timeout=timeout, stream=True, allow_redirects=True, **given) as got:
                answer = _Answer(got.status_code, got.headers, next(got.iter_content(_LONGEST_ANSWER), b""))
        except requests.Timeout:
            raise RegistryError(
                f"The registry {registry} gave no answer within {self._access.timeout_seconds:g} s.",
                hint="Launch the job again later; the limit is launchd.registry.timeout_seconds.",
            ) from None
        except requests.exceptions.SSLError as error:
            raise _Untrusted(f"The registry {registry} cannot be trusted: {_reason(error)}.") from error
        except requests.RequestException as error:
            raise _TryAgain(f"The registry {registry} cannot be reached: {_reason(error)}.") from error
        if answer.status in _AGAIN or answer.status >= _BROKEN:
            raise _TryAgain(_complaint(registry, answer), read_retry_after(answer.headers.get("Retry-After")) or 0.0)
        return answer

    # -- credentials

    def _authorization(self, session: requests.Session, registry: str, name: str, challenge: str) -> str:
        """Return the header that answers the registry's ``challenge``."""
        credentials = self._sources.find(registry, name)
        scheme, _, rest = challenge.partition(" ")
        match scheme.lower():
            case "basic" if credentials is not None and credentials.identity_token is None:
                return _basic(credentials)
            case "bearer":
                return f"Bearer {self._token(session, registry, name, _parameters(rest), credentials)}"
            case _:
                raise RegistryError(
                    f"The registry {registry} asks for a user and a password, and this host has none for it.",
                    hint=_LOG_IN,
                )

    def _token(
        self,
        session: requests.Session,
        registry: str,
        name: str,
        challenge: dict[str, str],
        credentials: Credentials | None,
    ) -> str:
        realm = str(challenge.get("realm", ""))
        if not realm.startswith("https://") and not (self._is_insecure(registry) and realm.startswith("http://")):
            raise RegistryError(f"The registry {registry} names no token server that could be trusted.")
        asked = {"scope": challenge.get("scope", f"repository:{name}:pull"), "service": challenge.get("service", "")}
        if credentials is not None and credentials.identity_token is not None:
            given = asked | {"grant_type": "refresh_token", "refresh_token": credentials.identity_token}
            answer = self._request(session, "POST", realm, registry, data=given | {"client_id": _CLIENT})
        else:
            headers = {} if credentials is None else {"Authorization": _basic(credentials)}
            answer = self._request(session, "GET", realm, registry, params=asked, headers=headers)
        _check(answer, registry, None)
        return _read_token(registry, answer)


class _TrustingAdapter(HTTPAdapter):
    """Trusts the certificates in a file, beside the host's own."""

    def __init__(self, ca_file: str) -> None:
        self._ca_file = ca_file
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make connections that trust them."""
        context = ssl.create_default_context()
        try:
            context.load_verify_locations(self._ca_file)
        except (OSError, ssl.SSLError) as error:
            raise RegistryError(
                f"The certificates in {self._ca_file} (launchd.registry.ca_file) cannot be read: {error}."
            ) from error
        super().init_poolmanager(*args, ssl_context=context, **kwargs)


def _leave_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _basic(credentials: Credentials) -> str:
    return f"Basic {credentials.entry()['auth']}"


def _check(answer: _Answer, registry: str, image: ImageName | None) -> None:
    """Raise :class:`RegistryError` for an answer that is a refusal."""
    what = "" if image is None else f" of {image}"
    match answer.status:
        case HTTPStatus.UNAUTHORIZED:
            raise RegistryError(f"The registry {registry} refused this host's user or password (401).", hint=_LOG_IN)
        case HTTPStatus.FORBIDDEN:
            raise RegistryError(
                f"The registry {registry} does not let this host's user look at images{what} (403).", hint=_LOG_IN
            )
        case code if code >= _REFUSED:
            raise RegistryError(f"The registry {registry} answered with {code} when asked for the manifest{what}.")
        case _:
            pass


def _complaint(registry: str, answer: _Answer) -> str:
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return f"The registry {registry} takes no more requests from this host for now (429)."
    return f"The registry {registry} failed ({answer.status})."


def _parameters(challenge: str) -> dict[str, str]:
    return parse_keqv_list([part for part in parse_http_list(challenge) if "=" in part])


def _read_token(registry: str, answer: _Answer) -> str:
    try:
        given = msgspec.json.decode(answer.body, type=_Token)
    except msgspec.DecodeError:
        given = _Token()
    if not (given.token or given.access_token):
        raise RegistryError(f"The token server of the registry {registry} gave no token.")
    return given.token or given.access_token


def _reason(error: BaseException) -> str:
    """Return the system's word for what failed, the innermost there is; the SDK wraps it many times."""
    words = [text for one in _causes(error) if (text := getattr(one, "strerror", None))]
    return str(words[-1]) if words else type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
