"""The settings of this host for pip and uv, such as an index with a password, as far as its installers need them.

Addresses go from the agent's variables into a file that the installer's user alone can read, and never into the
installer's environment: both tools put variables into addresses that others wrote, in files of requirements and (uv)
in the metadata of wheels.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

#: Variables of pip and uv. No code of a submitter gets them, unless the administrator says so.
PREFIXES = ("PIP_", "UV_")

#: By tool: variables with addresses, each with the option that says the same in a file, and what is between two.
_ADDRESSES: Mapping[str, tuple[tuple[str, str, str | None], ...]] = {
    "pip": (
        ("PIP_INDEX_URL", "--index-url", None),
        ("PIP_EXTRA_INDEX_URL", "--extra-index-url", None),
        ("PIP_FIND_LINKS", "--find-links", None),
    ),
    "uv": (
        ("UV_INDEX_URL", "--index-url", None),
        ("UV_DEFAULT_INDEX", "--index-url", None),
        ("UV_INDEX", "--extra-index-url", None),
        ("UV_EXTRA_INDEX_URL", "--extra-index-url", None),
        ("UV_FIND_LINKS", "--find-links", ","),
    ),
}
_SECRET_ENDINGS = ("_USERNAME", "_PASSWORD", "_TOKEN")


class IndexSettings(msgspec.Struct, frozen=True):
    """What a tool has to be told: ``lines`` for the beginning of a requirements file, ``environment`` without secrets.

    ``secrets`` are texts that must not be seen in the tool's output.
    """

    lines: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    secrets: tuple[str, ...] = ()


def index_settings(worker: Mapping[str, str], tool: str) -> IndexSettings:
    """Return what the agent's variables in ``worker`` tell ``tool``, ``pip`` or ``uv``."""
    # uv takes one --index-url in all files together: the later of two variables is the newer name.
    options: dict[str, str] = {}
    for option, address in _addresses(worker, tool):
        options[f"{option} {address}" if option != "--index-url" else option] = f"{option} {address}"
    return IndexSettings(tuple(options.values()), dict(_without_secrets(worker)), secrets_of(options.values()))


def secrets_of(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the passwords in the addresses of ``lines``, which must not be seen in a tool's output."""
    return tuple(_secrets(lines))


def all_settings(worker: Mapping[str, str]) -> dict[str, str]:
    """Return the agent's variables for pip and uv as they are, passwords included."""
    return {name: value for name, value in worker.items() if name.startswith(PREFIXES)}


def _addresses(worker: Mapping[str, str], tool: str) -> Iterator[tuple[str, str]]:
    for variable, option, separator in _ADDRESSES[tool]:
        for word in worker.get(variable, "").split(separator):
            if word:
                yield option, _address(word, worker)


def _address(word: str, worker: Mapping[str, str]) -> str:
    """Return an address, with user and password where uv has them in other variables: ``NAME=ADDRESS``."""
    name, separator, rest = word.partition("=")
    if not separator or not name.replace("-", "").replace("_", "").isalnum():
        return word
    variable = f"UV_INDEX_{name.upper().replace('-', '_')}"
    user, password = worker.get(f"{variable}_USERNAME"), worker.get(f"{variable}_PASSWORD")
    if user is None and password is None:
        return rest
    parts = urlsplit(rest)
    credentials = f"{quote(user or '', safe='')}:{quote(password or '', safe='')}"
    return urlunsplit(parts._replace(netloc=f"{credentials}@{parts.netloc}"))


def _without_secrets(worker: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in all_settings(worker).items():
        if "://" not in value and not name.endswith(_SECRET_ENDINGS) and not name.endswith("_FIND_LINKS"):
            yield name, value


def _secrets(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        # What is no address is the installer's to complain about.
        with suppress(ValueError):
            if password := urlsplit(line.partition(" ")[2]).password:
                yield password
