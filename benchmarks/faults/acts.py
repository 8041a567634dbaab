"""The kinds of act of a fault campaign, and the sequence in which a seed orders them."""

from collections.abc import Collection, Iterator
from random import Random

import msgspec

#: Shortest and longest pause between the beginnings of two acts, in seconds.
PAUSE_SECONDS = (0.05, 0.9)

AT_ONCE = (0.0, 0.0)


class Kind(msgspec.Struct, frozen=True):
    """A kind of act: its ``group``, how often it is chosen relative to the others, and how long it lasts (seconds).

    For each such act ``jobs`` are pushed.
    """

    group: str
    weight: int
    seconds: tuple[float, float] = AT_ONCE
    jobs: int = 2


#: What is done, by the name that the table of figures shows.
KINDS: dict[str, Kind] = {
    "kill: worker": Kind("kill", 14),
    "kill: supervisor": Kind("kill", 8, (0.0, 1.0)),
    "kill: fork server": Kind("kill", 6),
    "kill: queue server": Kind("kill", 6, (0.0, 2.0)),
    "kill: shim": Kind("shim", 4),
    "stop: worker, for good": Kind("stop", 4),
    "stop: worker": Kind("stop", 3, (0.1, 5.0)),
    "stop: supervisor": Kind("stop", 3, (0.1, 6.0)),
    "stop: fork server": Kind("stop", 3, (0.1, 6.0)),
    "stop: shim": Kind("stop", 3, (0.1, 5.0)),
    "stop: queue server": Kind("stop", 3, (0.1, 6.0)),
    "stop: all of the agent": Kind("stop", 3, (0.1, 6.0)),
    "link: request lost": Kind("link", 2, (0.2, 4.0)),
    "link: answer lost": Kind("link", 3, (0.2, 4.0)),
    "link: answer cut": Kind("link", 2, (0.2, 4.0)),
    "link: delay": Kind("link", 2, (0.2, 4.0)),
    "link: request repeated": Kind("link", 2, (0.2, 4.0)),
    "link: 302": Kind("link", 2, (0.2, 4.0)),
    "link: 404 JSON": Kind("link", 2, (0.2, 4.0)),
    "link: 404 HTML": Kind("link", 2, (0.2, 4.0)),
    "link: 500": Kind("link", 2, (0.2, 4.0)),
    "link: silence": Kind("link", 2, (0.2, 6.0)),
    "disk: full": Kind("disk", 4, (0.5, 5.0)),
    "restore: queue server": Kind("restore", 2, (0.0, 2.0)),
    "restore: agent": Kind("restore", 2, (0.0, 2.0)),
    "clock: agent": Kind("clock", 4, (0.5, 20.0)),
    "clock: queue server": Kind("clock", 4, (0.5, 20.0)),
    "power: both hosts": Kind("power", 3, (0.0, 2.0), jobs=8),
    "power: agent's host": Kind("power", 2, (0.0, 2.0), jobs=8),
    "power: queue server's host": Kind("power", 2, (0.0, 2.0), jobs=8),
}

GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS.values()))


class PlannedAct(msgspec.Struct, frozen=True):
    """One act: ``pick`` (0 to 1) chooses among victims, ``seconds`` later it is undone, ``pause`` follows it."""

    kind: str
    pick: float
    seconds: float
    pause: float


def planned_acts(seed: int, groups: Collection[str]) -> Iterator[PlannedAct]:
    """Yield acts of the kinds in ``groups`` without end; the same seed and groups give the same acts."""
    random = Random(f"acts {seed}")
    kinds = {name: kind for name, kind in KINDS.items() if kind.group in groups}
    weights = [kind.weight for kind in kinds.values()]
    while True:
        name = random.choices(list(kinds), weights)[0]
        yield PlannedAct(name, random.random(), random.uniform(*kinds[name].seconds), random.uniform(*PAUSE_SECONDS))
