"""Helps whoever misspells the name of an argument. Owns the decorator that does, and changes no signature."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from launchd.api.errors import suggestion

P = ParamSpec("P")
R = TypeVar("R")


def refuse_unknown_kwargs(function: Callable[P, R]) -> Callable[P, R]:
    """Have ``function`` refuse an unknown keyword argument with the nearest known name.

    The decorated function raises `TypeError` for it, as Python does.
    """
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                raise TypeError(f"{function.__name__}() has no argument {name!r}. {suggestion(name, known)}")
        return function(*args, **kwargs)

    return checked
