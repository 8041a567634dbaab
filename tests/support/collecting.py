"""How the processes of a run collect its tests: without the garbage collector, and not all the same module first.

On a new checkout nothing is compiled. Processes that go through the modules in one order would each compile all of
them; begun at different places, each finds most of them compiled by the others.
"""

import gc
import importlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Import the modules of this run, then collect; what is there then is looked through no more."""
    gc.disable()
    try:
        for module in _from_another_place(session.config):
            # Collection says what is wrong with it.
            with suppress(Exception, pytest.skip.Exception):
                importlib.import_module(module)
        return (yield)
    finally:
        # Modules, tests and their parameters stay to the end: each later collection would visit them in vain.
        gc.freeze()
        gc.enable()


def _from_another_place(config: pytest.Config) -> list[str]:
    """Names of the modules, begun at another one in each process; none where one process runs all tests."""
    given = getattr(config, "workerinput", None)
    if given is None:
        return []
    return begun_at(sorted(_modules(config)), int(given["workerid"].removeprefix("gw")), given["workercount"])


def begun_at(modules: list[str], number: int, of: int) -> list[str]:
    """Return the modules in the order of one process of several, which are counted from 0."""
    begin = len(modules) * number // of
    return modules[begin:] + modules[:begin]


def _modules(config: pytest.Config) -> set[str]:
    places = [Path(config.invocation_params.dir, argument.partition("::")[0]) for argument in config.args]
    files = {file for place in places for file in (place.rglob("test_*.py") if place.is_dir() else [place])}
    return {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files if file.is_relative_to(ROOT)}
