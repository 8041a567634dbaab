"""Which tests of a run on several processes stay together: those of one version of W&B's client.

A version's server, agent and runs are made once, and two versions run beside each other. Asked for with ``--dist
loadgroup``: xdist's own groups go by the names of tests, which pytest 9.2 no longer lets it change.
"""

import re

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_VERSION = re.compile(r"tests/compat/.*?\[(\d+\.\d+\.\d+)")


class VersionScheduling(LoadScopeScheduling):
    """Hands out tests one by one, and those of a version to one process."""

    def _split_scope(self, nodeid: str) -> str:
        version = _VERSION.match(nodeid)
        return version[1] if version else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> VersionScheduling | None:
    return VersionScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None
