"""Which package indexes the host names beside the agent's variables: in files of pip and uv, and in `pip_args`.

Reads what the tool itself would read; what cannot be read is the tool's to complain about.
"""

import configparser
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from workers.builders.requirement_lines import ADDRESS_OPTIONS

Lines = tuple[str, ...]

_PIP_SECTIONS = ("global", "install")
_PIP_KEYS = {"index-url": "--index-url", "extra-index-url": "--extra-index-url", "find-links": "--find-links"}


class _UvIndex(msgspec.Struct, frozen=True):
    url: str
    default: bool = False
    explicit: bool = False


class _UvTable(msgspec.Struct, frozen=True, rename="kebab"):
    index: list[_UvIndex] = []
    index_url: str = ""
    extra_index_url: list[str] = []
    find_links: list[str] = []


class _UvFile(_UvTable, frozen=True, rename="kebab"):
    pip: _UvTable = _UvTable()


def configured_indexes(tool: str, environment: Mapping[str, str], arguments: Sequence[str] = ()) -> Lines:
    """Return the indexes of ``arguments``, and of the files that ``tool`` reads in ``environment``.

    They are lines of a requirements file.
    """
    home = environment.get("HOME")
    named = tuple(_of_arguments(arguments))
    files = tuple(_of_pip(environment, home) if tool == "pip" else _of_uv(environment, home))
    has_index = any(map(_is_index, named))
    return tuple(dict.fromkeys((*named, *(line for line in files if not (has_index and _is_index(line))))))


def _of_arguments(arguments: Sequence[str]) -> Iterator[str]:
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option in ADDRESS_OPTIONS:
            yield f"{ADDRESS_OPTIONS[option]} {value if equals else ' '.join(arguments[place + 1 : place + 2])}"


def _of_pip(environment: Mapping[str, str], home: str | None) -> Iterator[str]:
    own = (Path(home, ".pip/pip.conf"), Path(home, ".config/pip/pip.conf")) if home else ()
    named = environment.get("PIP_CONFIG_FILE")
    # The order in which pip reads them: a later one has the last word.
    files = (Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), *own, *((Path(named),) if named else ()))
    options: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, ValueError, configparser.Error):
            continue
        for section in filter(parser.has_section, _PIP_SECTIONS):
            options |= {key: text for key, text in parser.items(section) if key in _PIP_KEYS}
    for key, option in _PIP_KEYS.items():
        yield from (f"{option} {word}" for word in options.get(key, "").split())


def _of_uv(environment: Mapping[str, str], home: str | None) -> Iterator[str]:
    named = environment.get("UV_CONFIG_FILE")
    own = (Path(home, ".config/uv/uv.toml"),) if home else ()
    files = (Path(named),) if named else (*own, Path("/etc/xdg/uv/uv.toml"), Path("/etc/uv/uv.toml"))
    lines: list[str] = []
    for path in files:
        try:
            file = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _UvFile)
        except (OSError, ValueError):
            continue
        lines += [*_lines_of(file), *_lines_of(file.pip)]
    # The user's file comes first, and there is one index.
    first = next(filter(_is_index, lines), None)
    yield from (line for line in lines if not _is_index(line) or line == first)


def _lines_of(table: _UvTable) -> Iterator[str]:
    yield from (f"--index-url {index.url}" for index in table.index if index.default)
    if table.index_url:
        yield f"--index-url {table.index_url}"
    # An explicit index is for the packages alone that a project's own settings give to it.
    yield from (f"--extra-index-url {index.url}" for index in table.index if not (index.default or index.explicit))
    yield from (f"--extra-index-url {url}" for url in table.extra_index_url)
    yield from (f"--find-links {url}" for url in table.find_links)


def _is_index(line: str) -> bool:
    return line.startswith("--index-url ")
