"""Users and passwords for registries: from Docker's configuration, its credential helpers, or a file with a password.

Owns the reading, and the forms in which others take them. A password is never in a command line, a log or a work order.
"""

import base64
import binascii
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ipc.errors import HostError
from ipc.settings import RegistryAccess
from workers.docker.images import DEFAULT_REGISTRY

#: How Docker's configuration names Docker Hub.
_HUB = "https://index.docker.io/v1/"
_HUB_NAMES = ("index.docker.io", "registry-1.docker.io")
#: The user whose secret is no password but a token (Docker's protocol of helpers).
_NO_USER = "<token>"
_HELPER_SECONDS = 30.0
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: By this text, and nothing else, a helper says that it has nothing.
_NOT_FOUND = "credentials not found"


class Credentials(msgspec.Struct, frozen=True):
    """What is shown to ``registry``: a user and a password, or an identity token in the password's place."""

    registry: str
    username: str = ""
    password: str = ""
    identity_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(registry={self.registry!r}, username={self.username!r})"

    def for_engine(self) -> dict[str, str]:
        """Return them as the Engine API takes them (``X-Registry-Auth``, before it is encoded)."""
        server = {"serveraddress": _HUB if self.registry == DEFAULT_REGISTRY else self.registry}
        if self.identity_token is not None:
            return {"identitytoken": self.identity_token, **server}
        return {"username": self.username, "password": self.password, **server}

    def entry(self) -> dict[str, str]:
        """Return them as an entry of ``auths`` in Docker's configuration."""
        pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        token = {} if self.identity_token is None else {"identitytoken": self.identity_token}
        return {"auth": pair, **token}


def auth_file(found: Iterable[Credentials]) -> str:
    """Return the text of an authentication file for tools that work on images."""
    return json.dumps({"auths": {one.registry: one.entry() for one in found}})


class _Entry(msgspec.Struct, frozen=True):
    """One of ``auths``."""

    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _DockerConfig(msgspec.Struct, frozen=True):
    """Docker's ``config.json``, as far as it is about credentials."""

    auths: dict[str, _Entry] = {}
    creds_store: str = msgspec.field(default="", name="credsStore")
    cred_helpers: dict[str, str] = msgspec.field(default_factory=dict, name="credHelpers")


class _HelperAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    """What a credential helper has."""

    username: str = ""
    secret: str = ""


class CredentialSources:
    """Where this host has credentials. ``own`` is the registry for which the file with a password is."""

    def __init__(self, access: RegistryAccess, own: str | None = None) -> None:
        self._access = access
        self._own = own

    def find(self, registry: str, name: str = "") -> Credentials | None:
        """Return what there is for the repository ``name`` of a registry.

        Raises:
            HostError: a file or a helper does not give out what it has.
        """
        if self._access.username and self._access.password_file and registry == self._own:
            return Credentials(registry, self._access.username, _read_password(Path(self._access.password_file)))
        path = self._config_path()
        config = _read_config(path)
        helper = _helper_for(config, registry)
        if helper is not None and (found := _ask_helper(helper, registry, path)) is not None:
            return found
        return _find_entry(config, registry, name, path)

    def _config_path(self) -> Path:
        if self._access.docker_config is not None:
            return Path(self._access.docker_config)
        directory = os.environ.get("DOCKER_CONFIG")
        return Path(directory or Path(os.environ.get("HOME") or "/", ".docker"), "config.json")


def _read_password(path: Path) -> str:
    try:
        with path.open() as file:
            is_open_to_others = os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO)
            password = file.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise HostError(f"The registry's password in {path} cannot be read: {error}.") from error
    if is_open_to_others:
        raise HostError(
            f"The registry's password in {path} can be read by other users of this host.",
            hint=f"The administrator closes the file: chmod 600 {path}.",
        )
    return password


def _read_config(path: Path) -> _DockerConfig:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_DockerConfig)
    except FileNotFoundError:
        return _DockerConfig()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HostError(f"Docker's configuration in {path} cannot be read: {error}.") from error


def _helper_for(config: _DockerConfig, registry: str) -> str | None:
    by_registry = {_bare(key): helper for key, helper in config.cred_helpers.items()}
    return by_registry.get(registry) or config.creds_store or None


def _ask_helper(helper: str, registry: str, path: Path) -> Credentials | None:
    """Return what Docker's helper of this name has for a registry; the name goes to its input, not to its arguments."""
    program = f"docker-credential-{helper}"
    if not _HELPER_NAME.fullmatch(helper):
        raise HostError(f"{helper!r} in {path} is no name of a credential helper.")
    server = _HUB if registry == DEFAULT_REGISTRY else registry
    try:
        done = subprocess.run(
            (program, "get"), input=server, capture_output=True, text=True, timeout=_HELPER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"The credential helper {program} gave no answer within {_HELPER_SECONDS:g} s.") from None
    except OSError as error:
        raise HostError(
            f"Docker's configuration in {path} names the credential helper {program}, which cannot be run on this"
            f" host: {error.strerror}."
        ) from error
    if done.returncode != 0:
        if _NOT_FOUND in done.stdout:
            return None
        said = " ".join((done.stdout or done.stderr).split())[:200]
        raise HostError(f"The credential helper {program} gave out nothing for {registry}: {said}.")
    return _from_helper(program, registry, done.stdout)


def _from_helper(program: str, registry: str, answer: str) -> Credentials | None:
    try:
        given = msgspec.json.decode(answer, type=_HelperAnswer)
    except msgspec.DecodeError:
        # What it wrote may be half a secret.
        raise HostError(f"What the credential helper {program} wrote for {registry} is no credential.") from None
    if given.username == _NO_USER:
        return Credentials(registry, identity_token=given.secret)
    return Credentials(registry, given.username, given.secret)


def _find_entry(config: _DockerConfig, registry: str, name: str, path: Path) -> Credentials | None:
    """Return the entry for the repository, the longest that fits: podman writes some for parts of a registry."""
    entries = {_bare(key): entry for key, entry in config.auths.items()}
    for place in _places(registry, name):
        entry = entries.get(place)
        if entry is not None and entry != _Entry():
            return _from_entry(entry, registry, path)
    return None


def _from_entry(entry: _Entry, registry: str, path: Path) -> Credentials:
    username, password = entry.username, entry.password
    if entry.auth:
        try:
            username, _, password = base64.b64decode(entry.auth, validate=True).decode().rstrip("\0").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise HostError(f"The entry for {registry} in {path} cannot be read.") from None
    return Credentials(registry, username, password, entry.identitytoken or None)


def _places(registry: str, name: str) -> Iterator[str]:
    parts = [registry, *filter(None, name.split("/"))]
    for end in range(len(parts), 0, -1):
        yield "/".join(parts[:end])


def _bare(key: str) -> str:
    """Return a key of Docker's configuration as the name of a registry: it may be an address."""
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    for ending in ("/v1", "/v2"):
        bare = bare.removesuffix(ending)
    return DEFAULT_REGISTRY if bare in _HUB_NAMES else bare
