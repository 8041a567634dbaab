"""Short and long runs. What is marked ``long`` runs with ``--long`` alone, and some tests do less without it.

Left out of the short run: what the same code has shown in it already, such as a contract over the second database, or
more of what chance decides. A test that is named by its node id runs in any case.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support.environment import DOCKER_HOST

#: How often a property is tried, where the test says nothing else.
SHORT_EXAMPLES, LONG_EXAMPLES = 100, 1000


def is_long(config: pytest.Config) -> bool:
    """Return whether this is the long run."""
    return bool(config.getoption("--long"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run everything, and more of what chance decides")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: runs with --long alone")
    config.addinivalue_line("markers", "root: needs the rights of root")
    config.addinivalue_line("markers", "engine: needs a container engine, which root starts and others name")
    config.addinivalue_line("markers", "dialect: runs over PostgreSQL too, which decides how it ends")
    # A busy machine, which takes its time, is no failure.
    unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("short", unhurried, max_examples=SHORT_EXAMPLES)
    settings.register_profile("long", unhurried, max_examples=LONG_EXAMPLES)
    settings.load_profile("long" if is_long(config) else "short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root") is not None:
                item.add_marker(pytest.mark.skip(reason="only root may do this"))
            if item.get_closest_marker("engine") is not None and DOCKER_HOST not in os.environ:
                item.add_marker(pytest.mark.skip(reason=f"only root may start an engine; {DOCKER_HOST} names one"))
    if is_long(config):
        return
    left_out = [item for item in items if _is_left_out(item) and item.nodeid not in config.args]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def _is_left_out(item: pytest.Item) -> bool:
    return item.get_closest_marker("long") is not None or (_over_postgresql(item) and not _needs_postgresql(item))


def _over_postgresql(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    return call is not None and "postgresql" in (call.params.get("store"), call.params.get("empty"))


def _needs_postgresql(item: pytest.Item) -> bool:
    """Whether the dialect decides how it ends, or PostgreSQL is all that it is about."""
    return item.get_closest_marker("dialect") is not None or _is_about_postgresql(item)


def _is_about_postgresql(item: pytest.Item) -> bool:
    names = ("store", "empty")
    marks = item.iter_markers("parametrize")
    return any(mark.args[0] in names and list(mark.args[1]) == ["postgresql"] for mark in marks)
