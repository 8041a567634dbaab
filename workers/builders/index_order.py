"""Where packages come from when several indexes are named: the same with uv and with pip.

All indexes count as one, and the best version is taken, where one party named them: the host, or the project. Where
both did, the first index that has a name has it for good, the host's first: what only the host's own index is to bring
must not come from one that a project names. Pure.
"""

from collections.abc import Iterable, Iterator

import msgspec

Lines = tuple[str, ...]

#: Asked last where nothing else is named as the index.
PYPI = "https://pypi.org/simple"
#: uv's setting for indexes that count as one; without it, the first that has a name has it.
ALL_ARE_ONE = {"UV_INDEX_STRATEGY": "unsafe-best-match"}

_INDEX, _EXTRA, _LINKS = "--index-url ", "--extra-index-url ", "--find-links "


class IndexOrder(msgspec.Struct, frozen=True):
    """The options of a requirements file; with ``is_mixed``, two parties named what is in them."""

    lines: Lines
    is_mixed: bool = False
    has_links: bool = False

    @property
    def note(self) -> str | None:
        """A sentence for the job's people where two parties named indexes, else None."""
        if not self.is_mixed:
            return None
        links = " What a page of links (`--find-links`) has counts beside any of them." if self.has_links else ""
        return (
            "This host and the project both name package indexes: a package is taken from the first one that has its"
            f" name, the host's first.{links}"
        )


def order_indexes(tool: str, host: Lines, configured: Lines, asked: Lines) -> IndexOrder:
    """Return how ``tool``, ``uv`` or ``pip``, is told of all indexes.

    ``host`` are lines for what the host's variables name, ``configured`` for what its files name, which the tool reads
    itself, and ``asked`` those of the project.
    """
    if not (names_any((*host, *configured)) and names_any(asked)):
        return IndexOrder((*host, *asked))
    named = (*_without(_INDEX, configured, host), *host)
    addresses = tuple(dict.fromkeys((*_indexes(named), *_indexes(asked))))
    others = tuple(line for line in (*host, *asked) if not line.startswith((_INDEX, _EXTRA)))
    lines = (*_in_order(tool, addresses, _has_index((*named, *asked))), *others)
    return IndexOrder(lines, is_mixed=True, has_links=any(line.startswith(_LINKS) for line in lines))


def names_any(lines: Iterable[str]) -> bool:
    """Return whether any of ``lines`` names an index, or a page of links."""
    return any(line.startswith((_INDEX, _EXTRA, _LINKS)) for line in lines)


def in_order_for_uv(lines: Lines) -> str:
    """Return the addresses of indexes in ``lines`` as a value of ``UV_INDEX``, which comes before all others."""
    return " ".join(_indexes(lines))


def _without(option: str, configured: Lines, host: Lines) -> Lines:
    """Return ``configured`` without the index, where a variable names another one."""
    return tuple(line for line in configured if not (_has_index(host) and line.startswith(option)))


def _in_order(tool: str, addresses: Lines, has_index: bool) -> Iterator[str]:
    if tool == "pip":
        first, *rest = addresses if has_index else (*addresses, PYPI)
        yield f"{_INDEX}{first}"
        yield from (f"{_EXTRA}{address}" for address in rest)
        return
    # uv asks its --index-url last, and lets one of its configuration win.
    yield from (f"{_EXTRA}{address}" for address in addresses)
    if has_index:
        yield f"{_INDEX}{addresses[-1]}"


def _indexes(lines: Lines) -> Iterator[str]:
    """Yield addresses: the index, of several the last, then the others."""
    yield from [line.removeprefix(_INDEX) for line in lines if line.startswith(_INDEX)][-1:]
    yield from (line.removeprefix(_EXTRA) for line in lines if line.startswith(_EXTRA))


def _has_index(lines: Iterable[str]) -> bool:
    return any(line.startswith(_INDEX) for line in lines)
