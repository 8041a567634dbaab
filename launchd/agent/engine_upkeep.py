"""Looks after the container engine of this host beside the main loop: orphans at the start, and room on its disk.

What touches the engine is a process of its own for each task; this decides, reads the journal as any other reader, and
logs. A failure is logged, and costs no more than the round. Main thread only, but for what its thread does.
"""

import logging
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from ipc.engine_upkeep import (
    UPKEEP_MODULE,
    Answer,
    Cleaned,
    CleanImages,
    FindContainers,
    Found,
    RemoveContainers,
    Removed,
    Unavailable,
    Upkeep,
    decode_answer,
)
from ipc.settings import DockerConfig
from ipc.targets import LOCAL_CONTAINER
from launchd.agent.journal_file import JournalError
from launchd.agent.journal_reader import active_jobs
from launchd.agent.orphans import Orphans, find_orphans
from launchd.config.model import LaunchdConfig, PolicyConfig

#: From the agent's start to the first round, in seconds: jobs come first.
FIRST_ROUND_SECONDS = 2.0

#: How long a task may take, in seconds: an engine removes one image after the other.
TASK_SECONDS = 900.0

log = logging.getLogger(__name__)


class EngineUnavailable(Exception):
    """The container engine cannot be looked after; the message says why."""


class Engine:
    """The container engine at ``address``, ``None`` for the usual one, as those see it who load no SDK."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    def find(self, task: FindContainers) -> Found:
        """Return the containers of an agent; raises :class:`EngineUnavailable`."""
        match self._ask(task):
            case Found() as found:
                return found
            case _:
                raise _misunderstood()

    def remove(self, task: RemoveContainers) -> Removed:
        """Remove containers; raises :class:`EngineUnavailable`."""
        match self._ask(task):
            case Removed() as removed:
                return removed
            case _:
                raise _misunderstood()

    def clean(self, task: CleanImages) -> Cleaned:
        """Remove images and build cache; raises :class:`EngineUnavailable`."""
        match self._ask(task):
            case Cleaned() as cleaned:
                return cleaned
            case _:
                raise _misunderstood()

    def _ask(self, task: FindContainers | RemoveContainers | CleanImages) -> Answer:
        match _run(Upkeep(task, self._address)):
            case Unavailable(message):
                raise EngineUnavailable(message)
            case answer:
                return answer


def _misunderstood() -> EngineUnavailable:
    return EngineUnavailable("What looks after the container engine gave the answer to another question.")


def _run(upkeep: Upkeep) -> Answer:
    command = [sys.executable, "-P", "-m", UPKEEP_MODULE]
    try:
        done = subprocess.run(
            command, input=msgspec.json.encode(upkeep), capture_output=True, timeout=TASK_SECONDS, check=False
        )
        return decode_answer(done.stdout)
    except msgspec.DecodeError:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise EngineUnavailable(f"What looks after the container engine ended early: {last}.") from None
    except subprocess.TimeoutExpired:
        raise EngineUnavailable(f"The container engine was not done after {TASK_SECONDS:g} s.") from None
    except OSError as error:
        raise EngineUnavailable(f"What looks after the container engine cannot be started: {error}.") from error


def images_of_jobs(state_dir: Path) -> tuple[str, ...]:
    """Return the images that the jobs in the journal have, or are going to need; raises :class:`JournalError`."""
    return tuple({job.spec.docker_image for job in active_jobs(state_dir) if job.spec.docker_image})


class EngineUpkeep:
    """Starts a round where one is due, in a thread of its own: at the agent's start, and then at each interval."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._thread: threading.Thread | None = None
        self._next_round = time.monotonic() + FIRST_ROUND_SECONDS
        self._problem: str | None = None

    def look(self, config: LaunchdConfig) -> None:
        """Start a round, if one is due and jobs may be containers at all."""
        is_running = self._thread is not None and self._thread.is_alive()
        if is_running or time.monotonic() < self._next_round or not _grants_containers(config.policy):
            return
        interval = config.docker.cleanup.interval_seconds
        self._next_round = time.monotonic() + interval if interval > 0 else math.inf
        self._thread = threading.Thread(target=self._work, args=(config.docker,), name="engine", daemon=True)
        # Python's word for a thread that the kernel refused; the next round may have it.
        with suppress(RuntimeError):
            self._thread.start()

    def _work(self, docker: DockerConfig) -> None:
        try:
            self._round(docker)
        except (EngineUnavailable, JournalError) as error:
            self._note(str(error))
        except Exception:
            # A round that fails is one that was left out.
            log.exception("The container engine could not be looked after.")
        else:
            self._note(None)

    def _round(self, docker: DockerConfig) -> None:
        engine = Engine(docker.host)
        orphans = find_orphans(self._state_dir, engine.find)
        if orphans.containers or orphans.strays:
            _log_orphans(orphans)
            _log_problems(engine.remove(orphans.removal).problems)
        if docker.cleanup.interval_seconds > 0:
            _log_cleaning(engine.clean(self._cleaning(docker)))

    def _cleaning(self, docker: DockerConfig) -> CleanImages:
        return CleanImages(str(self._state_dir), docker.cleanup, images_of_jobs(self._state_dir))

    def _note(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            log.warning("The container engine could not be looked after.", extra={"why": problem})
        self._problem = problem


def _grants_containers(policy: PolicyConfig) -> bool:
    return any(LOCAL_CONTAINER in rules.resources for rules in (policy, *policy.queues.values()))


def _log_orphans(orphans: Orphans) -> None:
    for orphan in orphans.containers:
        log.warning(
            "An orphaned container is removed.",
            extra={"container": orphan.container.id[:12], "job": orphan.container.name, "why": orphan.why},
        )
    for stray in orphans.strays:
        log.warning(
            "Processes of a container that the engine does not know of are ended.",
            extra={"container": stray.container[:12], "pids": list(stray.pids)},
        )


def _log_cleaning(cleaned: Cleaned) -> None:
    _log_problems(cleaned.problems)
    if cleaned.images or cleaned.cache_bytes:
        log.info(
            "Images were removed to make room on the container engine's disk.",
            extra={
                "images": [image.reference for image in cleaned.images],
                "cache_bytes": cleaned.cache_bytes,
                "used_percent": cleaned.used_percent,
            },
        )


def _log_problems(problems: Iterable[str]) -> None:
    for problem in problems:
        log.warning("Something of the container engine could not be removed.", extra={"why": problem})
