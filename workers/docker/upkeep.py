"""A process that looks after the container engine of this host: one task, read from its input, answered on its output.

Started by the supervisor or by the command line, which decide what is to be removed; this finds and removes.
"""

import sys
from collections.abc import Sequence
from contextlib import closing

import msgspec
from setproctitle import setproctitle

from ipc.engine_upkeep import (
    Answer,
    CleanImages,
    FindContainers,
    Found,
    FoundContainer,
    RemoveContainers,
    Removed,
    Stray,
    Unavailable,
    Upkeep,
    decode_upkeep,
)
from ipc.errors import RunnerUnavailable
from workers import processes
from workers.docker import image_gc, strays
from workers.docker.container import AGENT_LABEL, ITEM_LABEL, NAME_LABEL
from workers.docker.engine import NOT_FOUND, Engine, EngineError

_RUNNING = ("running", "paused", "restarting")


def answer(upkeep: Upkeep) -> Answer:
    """Do a task; what the engine refuses as a whole is an answer too."""
    with closing(Engine(upkeep.address)) as engine:
        try:
            return _done(engine, upkeep.task)
        except EngineError as error:
            return Unavailable(f"The container engine refused to answer: {error.explanation}.")
        except RunnerUnavailable as error:
            return Unavailable(error.message)


def _done(engine: Engine, task: FindContainers | RemoveContainers | CleanImages) -> Answer:
    match task:
        case FindContainers(agent, ended):
            return Found(_containers_of(engine, agent), tuple(_strays(engine, ended)))
        case RemoveContainers(containers, of_strays):
            return _remove(engine, containers, of_strays)
        case CleanImages():
            return image_gc.clean(engine, task)


def _containers_of(engine: Engine, agent: str) -> tuple[FoundContainer, ...]:
    found = engine.containers(f"{AGENT_LABEL}={agent}")
    labelled = [(one, one.labels or {}) for one in found]
    return tuple(
        FoundContainer(one.id, labels.get(NAME_LABEL, ""), labels.get(ITEM_LABEL, ""), one.state)
        for one, labels in labelled
    )


def _strays(engine: Engine, ended: Sequence[str]) -> list[Stray]:
    living = strays.processes_of(frozenset(ended))
    return [Stray(container, pids) for container, pids in living.items() if not _runs(engine, container)]


def _runs(engine: Engine, container: str) -> bool:
    seen = engine.inspect(container)
    return seen is not None and seen.state.status in _RUNNING


def _remove(engine: Engine, containers: Sequence[str], of_strays: Sequence[str]) -> Removed:
    gone, problems = [], []
    for container in containers:
        try:
            engine.remove(container, force=True)
        except EngineError as error:
            if error.status != NOT_FOUND:
                problems.append(f"The container {container[:12]} could not be removed: {error.explanation}.")
                continue
        gone.append(container)
    # Last: an engine that was asked to end a container it does not know of has ended nothing.
    for container in (*containers, *of_strays):
        left = strays.end(container)
        if left:
            problems.append(f"Processes of the container {container[:12]} could not be ended: {_listed(left)}.")
    return Removed(tuple(gone), tuple(problems))


def _listed(pids: Sequence[int]) -> str:
    return ", ".join(map(str, pids))


def main() -> int:
    """Do the task that stands in the input; returns the exit code."""
    setproctitle("launchd: container engine upkeep")
    processes.die_with_parent()
    sys.stdout.buffer.write(msgspec.json.encode(answer(decode_upkeep(sys.stdin.buffer.read()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
