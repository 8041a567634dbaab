"""A control group of the tests' own, as a service manager delegates one."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ipc.control_groups import ControlGroup, mount_point


@contextmanager
def delegated_group() -> Iterator[Path]:
    """Yield the path of a new group, below which groups can be made; skips where there is none of version 2."""
    top = mount_point()
    path = Path(top or "/", f"launchd-test-{secrets.token_hex(4)}")
    group = ControlGroup(path)
    try:
        group.make()
    except OSError as error:
        pytest.skip(f"no control group of version 2 can be made here: {error}")
    try:
        yield path
    finally:
        group.end(10.0)
        assert group.remove(), f"{path} is left"
