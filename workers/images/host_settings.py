"""What the builds of this host are told of it: proxies, package indexes, certificates. As secrets, in no layer.

Code of submitters runs in a build and can read them. So passwords are among them only where the administrator says so
(``launchd.venv.pass_index_settings``).
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ipc.errors import HostError
from workers.builders.index_settings import all_settings
from workers.images.recipe import CERTIFICATES_SECRET, SECRETS_PLACE, SETTINGS_SECRET

#: Variables by which programs of this host are told of certificates.
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
#: What says the same to pip and to uv: each tool is told what the other one is.
_SAME = (("PIP_INDEX_URL", "UV_INDEX_URL"), ("PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL"))
#: Of the variables for pip and uv, those that say where packages are; others are about this host's own files.
_PLACES = re.compile(
    r"PIP_(?:INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|TRUSTED_HOST|DEFAULT_TIMEOUT|TIMEOUT|RETRIES)"
    r"|UV_(?:(?:DEFAULT_|EXTRA_)?INDEX(?:_URL|_STRATEGY)?|FIND_LINKS|INSECURE_HOST|HTTP_TIMEOUT)"
    r"|UV_INDEX_\w+_(?:USERNAME|PASSWORD)"
)
_PASSWORDS = re.compile(r"_(?:PASSWORD|TOKEN|USERNAME)$")
#: BuildKit takes no larger secret.
_MAX_SECRET_BYTES = 500 * 1024


def build_secrets(worker: Mapping[str, str], *, with_passwords: bool) -> dict[str, str]:
    """Return the secrets of a build by their ids, from the agent's variables in ``worker``; none where none are set.

    Raises:
        HostError: the certificates that the agent was given cannot be read.
    """
    settings = dict(_settings(worker, with_passwords=with_passwords))
    secrets = {}
    certificates = next((worker[name] for name in _CERTIFICATES if worker.get(name)), None)
    if certificates is not None:
        secrets[CERTIFICATES_SECRET] = _read(Path(certificates))
        settings |= dict.fromkeys(_CERTIFICATES, f"{SECRETS_PLACE}/{CERTIFICATES_SECRET}")
    if settings:
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in sorted(settings.items()))
        secrets[SETTINGS_SECRET] = "".join(lines)
    return secrets


def passwords(worker: Mapping[str, str]) -> tuple[str, ...]:
    """Return the texts in the agent's variables for pip and uv that must not be seen in a build's output."""
    found = []
    for name, value in all_settings(worker).items():
        if _PASSWORDS.search(name):
            found.append(value)
        found += [password for word in value.split() if (password := _password(word))]
    return tuple(filter(None, found))


def _settings(worker: Mapping[str, str], *, with_passwords: bool) -> Iterator[tuple[str, str]]:
    for name, value in _named(worker).items():
        has_password = "@" in value or _PASSWORDS.search(name) is not None
        # A proxy's address may hold a password; then it stays with the agent.
        is_for_builds = not has_password or (with_passwords and name.lower() not in _PROXIES)
        if value and is_for_builds:
            yield name, value


def _named(worker: Mapping[str, str]) -> dict[str, str]:
    """Return the agent's variables about proxies and package indexes, for pip and for uv alike."""
    named = {name: value for name, value in worker.items() if name.lower() in _PROXIES}
    named |= {name: _reachable(value) for name, value in worker.items() if _PLACES.fullmatch(name)}
    for one, other in _SAME:
        if one in named or other in named:
            named.setdefault(one, named.get(other, ""))
            named.setdefault(other, named[one])
    return named


def _reachable(value: str) -> str:
    """Return ``value`` without addresses of files, which are on this host and not in a build."""
    words = value.split()
    return " ".join(word for word in words if not word.startswith(("/", "file:", "~")) and "=file:" not in word)


def _password(word: str) -> str | None:
    try:
        return urlsplit(word).password
    except ValueError:
        return None


def _read(path: Path) -> str:
    hint = "The administrator corrects SSL_CERT_FILE, or the variable that names them, in the agent's unit."
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise HostError(
            f"The certificates that this agent is told to trust, {path}, cannot be read: {error.strerror}.", hint=hint
        ) from error
    if len(data) > _MAX_SECRET_BYTES:
        raise HostError(
            f"The certificates that this agent is told to trust, {path}, have more than {_MAX_SECRET_BYTES >> 10} KiB,"
            " which no build can be given.",
            hint=hint,
        )
    return data.decode(errors="replace")
