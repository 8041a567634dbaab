"""buildah's own configuration of registries: the host's, with what Docker's names mean and which may be insecure."""

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ipc.errors import HostError

_OF_HOST = Path("/etc/containers/registries.conf")
_SEARCHED = "unqualified-search-registries"


def registries_conf(insecure: Iterable[str], host: Path = _OF_HOST) -> str:
    """Return the text: that of the host, in which names without a registry are Docker Hub's where it says nothing.

    ``insecure`` are registries that may speak plain HTTP, unless the host has settings of its own for them.

    Raises:
        HostError: the host's cannot be read.
    """
    try:
        return registries_conf_of(host.read_text() if host.exists() else "", insecure)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise HostError(f"The configuration of registries in {host} cannot be read: {error}.") from error


def registries_conf_of(text: str, insecure: Iterable[str]) -> str:
    """Return the text with what :func:`registries_conf` adds; raises ``tomllib.TOMLDecodeError``."""
    given: dict[str, Any] = tomllib.loads(text)
    known = {entry.get("location") or entry.get("prefix") for entry in given.get("registry", ())}
    search = "" if _SEARCHED in given else f'{_SEARCHED} = ["docker.io"]\nshort-name-mode = "permissive"\n'
    added = (_insecure_entry(name) for name in sorted(set(insecure) - known))
    return f"{search}{text}\n{''.join(added)}"


def _insecure_entry(name: str) -> str:
    return f"[[registry]]\nlocation = {json.dumps(name)}\ninsecure = true\n"
