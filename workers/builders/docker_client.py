"""Docker's own client, which has BuildKit build: as the plugin buildx, or built in up to version 22."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping

import msgspec

_PROBE_SECONDS = 20.0
#: Later clients have BuildKit in the plugin alone; earlier ones do not know secrets.
_FIRST_VERSION, _FIRST_WITHOUT = 19, 23
_VERSION = re.compile(r"Docker version (\d+)\.")
#: Beside what is on the path: a client of the distribution may have what another one lacks.
_USUAL = "/usr/bin/docker"


class BuildKitClient(msgspec.Struct, frozen=True):
    """The beginning of a command line that builds with BuildKit, and what it needs in its environment."""

    command: tuple[str, ...]
    environment: dict[str, str] = {}


def find_client(environment: Mapping[str, str]) -> BuildKitClient | None:
    """Return a client with BuildKit, None where this host has none; ``environment`` is that of the client."""
    for path in _clients(environment.get("PATH", "")):
        if _says(environment, path, "buildx", "version") is not None:
            return BuildKitClient((path, "buildx", "build", "--load"))
        found = _VERSION.match(_says(environment, path, "--version") or "")
        if found is not None and _FIRST_VERSION <= int(found[1]) < _FIRST_WITHOUT:
            return BuildKitClient((path, "build"), {"DOCKER_BUILDKIT": "1"})
    return None


def _clients(search_path: str) -> Iterator[str]:
    first = shutil.which("docker", path=search_path)
    yield from dict.fromkeys(filter(None, (first, shutil.which(_USUAL))))


def _says(environment: Mapping[str, str], *command: str) -> str | None:
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=_PROBE_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
