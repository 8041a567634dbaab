"""Named places where tests make a process die, fail, leave or hang.

Every place is listed here with what it stands for; the kill matrix runs over
the list, so a new failpoint without a row in the matrix fails the suite. With
``LAUNCHD_FAILPOINTS`` unset a failpoint costs one look-up in an empty dict.

``LAUNCHD_FAILPOINTS="name=action,name=action"`` with the actions ``kill``
(SIGKILL), ``raise``, ``exit`` (``os._exit(0)``) and ``stop`` (SIGSTOP).
``LAUNCHD_FAILPOINTS_ONCE=DIRECTORY`` makes each fire once in all processes
together: for the process that creates the file of its name first.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

FAILPOINTS: dict[str, str] = {
    "worker.hello": "a worker is up and has no job yet",
    "worker.started": "the worker has read its job",
    "worker.fetched": "the source is there",
    "pod_build.announced": "a build in a cluster has its record on disk, nothing of it exists outside",
    "pod_build.created": "the build's Job exists, its Secrets do not belong to it yet",
    "pod_build.watched": "the build goes on, or is about to",
    "pod_build.over": "the build has ended, what it left is not removed",
    "worker.built": "what the job needs is built, if it needs anything",
    "worker.before_submitting": "the worker is about to announce the workload name",
    "worker.after_submit_approved": "the name is on disk, nothing exists outside yet",
    "worker.after_submit": "the workload exists, the supervisor does not know its handle",
    "worker.monitoring": "the workload runs and its handle is known",
    "worker.ended": "the workload has ended, the supervisor does not know",
    "worker.finished": "the outcome is sent, the worker has not left yet",
    "shim.started": "the shim holds the job's lock and has started nothing",
    "shim.before_spawn": "the shim has noted that it is going to start the command",
    "shim.spawned": "the command runs",
    "shim.ended": "the command has ended, its exit status is not on disk",
    "supervisor.claimed": "items were claimed and are not in the journal",
    "supervisor.journaled": "a claimed job is in the journal and not acknowledged",
    "supervisor.acknowledged": "the server confirmed a job, the journal does not say so",
    "supervisor.worker_started": "a worker has its job",
    "supervisor.submit_approved": "the workload name is in the journal, the worker does not know",
    "supervisor.submitted": "the handle has arrived and is not in the journal",
    "supervisor.outcome": "an outcome has arrived and is not in the journal",
    "supervisor.outcome_journaled": "an outcome is in the journal and not reported",
    "supervisor.reported": "the server has the outcome, the outbox still holds it",
    "supervisor.adopting": "the journal is read and no job is adopted yet",
}

ACTIONS = ("kill", "raise", "exit", "stop")


class FailpointReached(Exception):
    """What a failpoint with the action ``raise`` raises."""


class UnknownFailpoint(Exception):
    """``LAUNCHD_FAILPOINTS`` or the code names a failpoint or an action that does not exist."""


def parse(text: str) -> dict[str, str]:
    """Return the actions in ``text`` by failpoint; raises :class:`UnknownFailpoint`."""
    armed = {}
    for entry in filter(None, text.split(",")):
        name, _, action = entry.partition("=")
        if name not in FAILPOINTS or action not in ACTIONS:
            raise UnknownFailpoint(
                f"{entry!r} is not NAME=ACTION with a name of {sorted(FAILPOINTS)} and an action of {ACTIONS}"
            )
        armed[name] = action
    return armed


class Failpoints:
    """The failpoints armed in this process."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._armed = parse(environ.get("LAUNCHD_FAILPOINTS", ""))
        once = environ.get("LAUNCHD_FAILPOINTS_ONCE")
        self._once = Path(once) if once else None

    def hit(self, name: str) -> None:
        """Do what is armed for ``name``, if anything is."""
        action = self._armed.get(name)
        if action is not None and self._is_first(name):
            _act(name, action)

    def _is_first(self, name: str) -> bool:
        if self._once is None:
            return True
        try:
            os.close(os.open(self._once / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True


def _act(name: str, action: str) -> None:
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "exit":
            os._exit(0)
        case _:
            raise FailpointReached(f"failpoint {name}")


_active = Failpoints(os.environ)


@contextmanager
def disarmed() -> Iterator[None]:
    """Have nothing happen at failpoints meanwhile: what is done is no job's."""
    global _active
    armed, _active = _active, Failpoints({})
    try:
        yield
    finally:
        _active = armed


def hit(name: str) -> None:
    """Do what ``LAUNCHD_FAILPOINTS`` arms for ``name`` in this process; nothing in production."""
    _active.hit(name)
