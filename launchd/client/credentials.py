"""Finds the API key and the address of the queue server where W&B's clients find them.

Owns the look-up order and the reading of netrc and of W&B's settings files. It never writes, and never logs a key.
"""

import configparser
import netrc
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from launchd.client.address import checked_address
from launchd.client.errors import QueueServerError

DEFAULT_BASE_URL = "https://api.wandb.ai"

#: The longest API key: a job's is handed to its worker in one message.
MAX_KEY_CHARACTERS = 1000

#: Below this, systemd hands files over to services (LoadCredential=).
SYSTEMD_CREDENTIALS = Path("/run/credentials")

#: The file with the agent's key that launch-agent.service has handed over.
SERVICE_KEY_FILE = "/etc/launch-agent/api.key"

#: Former names of hosts, under which netrc may still have the key; W&B's clients look there too.
FORMER_HOSTS = {"api.forge.coreweave.com": "api.wandb.ai"}


class ApiKeyNotFound(QueueServerError):
    """There is no API key for the server; the message names the places that were searched."""


class ApiKeyFileError(QueueServerError):
    """The key file that the configuration names cannot be used; the message says why."""


class ApiKeyUnusable(QueueServerError):
    """What was found cannot be an API key; the message says where and why, and does not show it."""


class ApiKey(msgspec.Struct, frozen=True):
    """A key, and where it was found. The key stays out of `repr`, and so out of logs and tracebacks.

    Raises:
        ApiKeyUnusable: it is longer than :data:`MAX_KEY_CHARACTERS`, or no plain text.
    """

    key: str
    origin: str

    def __post_init__(self) -> None:
        if len(self.key) > MAX_KEY_CHARACTERS:
            raise ApiKeyUnusable(
                f"The API key from {self.origin} has {len(self.key)} characters, and a key has {MAX_KEY_CHARACTERS} at"
                " most. Put the key alone there."
            )
        if not (self.key.isascii() and self.key.isprintable()):
            raise ApiKeyUnusable(f"The API key from {self.origin} is not plain text. Put the key alone there.")

    def __repr__(self) -> str:
        return f"ApiKey(key=..., origin={self.origin!r})"


class BaseUrl(msgspec.Struct, frozen=True):
    """The address of a queue server, and where it was found."""

    url: str
    origin: str


def find_base_url(environ: Mapping[str, str], configured: str | None = None) -> BaseUrl:
    """Return the server's address: `WANDB_BASE_URL`, `configured` (`launchd.base_url`), W&B's settings, W&B's cloud."""
    if environ.get("WANDB_BASE_URL"):
        return BaseUrl(environ["WANDB_BASE_URL"].rstrip("/"), "WANDB_BASE_URL")
    if configured:
        return BaseUrl(configured.rstrip("/"), "launchd.base_url")
    for path in _settings_files(environ):
        url = _setting(path, "base_url")
        if url:
            return BaseUrl(url.rstrip("/"), str(path))
    return BaseUrl(DEFAULT_BASE_URL, "default")


def find_setting(name: str, environ: Mapping[str, str]) -> str | None:
    """Return W&B's setting `name` (`entity`, `project`): `WANDB_<NAME>`, the local settings file, the global one."""
    named = environ.get(f"WANDB_{name.upper()}", "").strip()
    return named or next((value for path in _settings_files(environ) if (value := _setting(path, name))), None)


def find_api_key(base_url: str, environ: Mapping[str, str], key_file: str | None = None) -> ApiKey:
    """Return the key for the server: `WANDB_API_KEY`, the key file (`launchd.api_key_file`), netrc, W&B's settings.

    Raises:
        ApiKeyNotFound: none of them has one. `Refused`: `base_url` is no address.
        ApiKeyFileError: the key file is missing, unreadable or empty; no other key is tried then.
    """
    if environ.get("WANDB_API_KEY", "").strip():
        return ApiKey(environ["WANDB_API_KEY"].strip(), "WANDB_API_KEY")
    if key_file:
        return ApiKey(_read_key_file(Path(key_file).expanduser()), key_file)
    for path in netrc_files(environ):
        key = _netrc_password(path, base_url)
        if key:
            return ApiKey(key, str(path))
    for path in _settings_files(environ):
        key = _setting(path, "api_key")
        if key:
            return ApiKey(key, str(path))
    host = urlsplit(checked_address(base_url)).netloc
    raise ApiKeyNotFound(
        f"There is no API key for {base_url}. Log in with `launchd login --host {base_url}`, or set WANDB_API_KEY, or"
        f" launchd.api_key_file in the configuration, or add `machine {host}` to your netrc file."
    )


def _read_key_file(path: Path) -> str:
    try:
        key = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ApiKeyFileError(f"The API key file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ApiKeyFileError(f"The API key file {path} does not hold an API key: it is not plain text.") from error
    if not key:
        raise ApiKeyFileError(f"The API key file {path} is empty.{_where_to_put_it(path)}")
    return key


def _where_to_put_it(path: Path) -> str:
    """Return a sentence for a copy of the key that systemd made, which no one can edit."""
    if not path.is_relative_to(SYSTEMD_CREDENTIALS):
        return ""
    return f" Put the key into {SERVICE_KEY_FILE}, which systemd copies there, and restart the service."


def netrc_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the paths where a netrc may be, in the order of the search."""
    if environ.get("NETRC"):
        yield Path(environ["NETRC"]).expanduser()
        return
    home = Path(environ.get("HOME") or Path.home())
    yield from (home / ".netrc", home / "_netrc")


def _netrc_password(path: Path, base_url: str) -> str | None:
    """Return the password of the host with its port, else without: W&B 0.31 reads the first form, 0.20 the second."""
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    parts = urlsplit(base_url)
    name = parts.hostname or ""
    for host in (parts.netloc.rpartition("@")[2], name, FORMER_HOSTS.get(name, "")):
        if host in hosts and hosts[host][2]:
            return hosts[host][2]
    return None


def _settings_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield W&B's local settings files, which win, then the global one."""
    yield from (Path(".wandb/settings"), Path("wandb/settings"), global_settings_file(environ))


def global_settings_file(environ: Mapping[str, str]) -> Path:
    """Return the path of W&B's global settings of this user."""
    if environ.get("WANDB_CONFIG_DIR"):
        return Path(environ["WANDB_CONFIG_DIR"]).expanduser() / "settings"
    return Path(environ.get("HOME") or Path.home()) / ".config/wandb/settings"


def _setting(path: Path, name: str) -> str | None:
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, configparser.Error, UnicodeDecodeError):
        return None
    return parser.get("default", name, fallback="").strip() or None
