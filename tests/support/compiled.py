"""This package's sources as an installation leaves them: compiled."""

import compileall

from tests.support.testbed import ROOT


def compile_sources() -> None:
    """Leave nothing for an agent to compile: a fork server that compiles has its objects on more pages of memory."""
    for package in ("ipc", "launchd", "workers"):
        compileall.compile_dir(ROOT / package, quiet=1)
