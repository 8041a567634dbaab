"""Errors of the Python API, which are W&B's two, and decorators that raise them and TypeErrors with a suggestion."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from launchd.client.errors import QueueServerError
from launchd.config import ConfigError
from launchd.config.diagnostics import nearest_name
from launchd.local.instance import InstanceNotRunning

P = ParamSpec("P")
R = TypeVar("R")


class LaunchError(Exception):
    """A request failed: to launch, queue, look up (W&B: `wandb.sdk.launch.errors.LaunchError`).

    `str(error)` says what happened and what to do.
    """


class ExecutionError(Exception):
    """A run ended without success (W&B: `wandb.sdk.launch.errors.ExecutionError`).

    `run_id` is the id of the run, `status` its last status: failed, stopped or preempted.
    """

    def __init__(self, message: str, run_id: str, status: str) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.status = status

    def __reduce__(self) -> tuple[type["ExecutionError"], tuple[str, str, str]]:
        return ExecutionError, (str(self), self.run_id, self.status)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise errors of the client, the configuration and `launchd up` as :class:`LaunchError`; also as a decorator."""
    try:
        yield
    except (QueueServerError, InstanceNotRunning, ConfigError) as error:
        raise LaunchError(str(error)) from error


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the name of ``known`` that is nearest to ``name``, or with all of them."""
    names = sorted(known)
    near = nearest_name(name, names)
    return f"Did you mean {near!r}?" if near else f"There are: {', '.join(names)}."


def refuse_unknown_kwargs(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate ``function`` to refuse an unknown keyword argument with the nearest known name.

    The decorated function raises `TypeError`, as Python does; its signature is unchanged.
    """
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                raise TypeError(f"{function.__name__}() has no argument {name!r}. {suggestion(name, known)}")
        return function(*args, **kwargs)

    return checked
