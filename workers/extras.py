"""What a job is told where the SDK that it needs is not on this host."""

from ipc.errors import HostError
from ipc.extras import how_to_install
from ipc.targets import is_ours


def not_installed(what: str, extra: str | None, error: ModuleNotFoundError) -> Exception:
    """Return the error for ``what``, whose ``extra`` of this package is not installed.

    What is missing of this package itself, or of no extra, is a fault of its own: then it is ``error``.
    """
    if extra is None or is_ours(error.name):
        return error
    return HostError(
        f"This agent was installed without what it needs for {what}: there is no {error.name}.",
        hint=f"The administrator installs it: {how_to_install(extra)}.",
    )
