"""What a job is told where the SDK that it needs is not on this host."""

import sys

from ipc.errors import HostError
from ipc.targets import is_ours

#: This package, as installers know it.
PACKAGE = "launchd-agent"


def not_installed(what: str, extra: str | None, error: ModuleNotFoundError) -> Exception:
    """Return the error for ``what``, whose ``extra`` of this package is not installed.

    What is missing of this package itself, or of no extra, is a fault of its own: then it is ``error``.
    """
    if extra is None or is_ours(error.name):
        return error
    return HostError(
        f"This agent was installed without what it needs for {what}: there is no {error.name}.",
        hint=f"The administrator installs it: {sys.executable} -m pip install '{PACKAGE}[{extra}]'.",
    )
