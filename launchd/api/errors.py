"""What callers of the Python API have to expect: W&B's two errors. Owns the translation of all others into them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from launchd.client.errors import QueueServerError
from launchd.config import ConfigError
from launchd.config.diagnostics import nearest_name
from launchd.local.instance import InstanceNotRunning


class LaunchError(Exception):
    """Something could not be launched, queued or looked up (W&B: `wandb.sdk.launch.errors.LaunchError`).

    `str(error)` says what happened and what to do.
    """


class ExecutionError(Exception):
    """A run that its caller waited for did not finish well (W&B: `wandb.sdk.launch.errors.ExecutionError`).

    `run_id` is the run's id, `status` how it ended: failed, stopped or preempted.
    """

    def __init__(self, message: str, run_id: str, status: str) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.status = status

    def __reduce__(self) -> tuple[type["ExecutionError"], tuple[str, str, str]]:
        return ExecutionError, (str(self), self.run_id, self.status)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn what the parts below raise, whose text is for people, into :class:`LaunchError`; also as a decorator."""
    try:
        yield
    except (QueueServerError, InstanceNotRunning, ConfigError) as error:
        raise LaunchError(str(error)) from error


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the sentence that helps who wrote ``name``: the nearest of ``known``, or all of them."""
    names = sorted(known)
    near = nearest_name(name, names)
    return f"Did you mean {near!r}?" if near else f"There are: {', '.join(names)}."
