"""What a job is told where the SDK that it needs is not on this host."""

from collections.abc import Iterator
from contextlib import contextmanager

from ipc.errors import HostError
from ipc.extras import how_to_install
from ipc.targets import is_ours


@contextmanager
def needed_for(what: str, extra: str | None) -> Iterator[None]:
    """Load what ``what`` needs, in the block; ``extra`` is the extra of this package that brings it.

    Raises:
        HostError: it is not installed.
        ModuleNotFoundError: what is missing is of this package itself, or of no extra: a fault of its own.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if extra is None or is_ours(error.name):
            raise
        raise HostError(
            f"This agent was installed without what it needs for {what}: there is no {error.name}.",
            hint=f"The administrator installs it: {how_to_install(extra)}.",
        ) from error
