"""How a container ended, read from what its engine says. Pure."""

import signal

from ipc.handles import ExitResult
from workers.docker.engine import CREATED, Container

#: Above this, an exit code is a signal's number more than it, as shells and engines have it.
SIGNAL_CODES = 128


def exit_result(container: Container) -> ExitResult:
    """Return how the container ended; the engine gives signals as exit codes, as shells do."""
    if container.state.status == CREATED:
        # After a power cut, say: it was started once, or there would be no look for its end.
        return ExitResult(message="The container engine has forgotten the container's start; its exit status is lost.")
    code, killed = container.state.exit_code, container.state.oom_killed
    message = _memory_message(container) if killed else container.state.error or None
    if SIGNAL_CODES < code < SIGNAL_CODES + signal.NSIG:
        return ExitResult(signal=code - SIGNAL_CODES, oom_killed=killed, message=message)
    return ExitResult(code=code, oom_killed=killed, message=message)


def _memory_message(container: Container) -> str:
    limit = container.host.memory
    of_limit = f" of {limit >> 20} MiB" if limit else ""
    if container.state.exit_code == 0:
        return f"A process of the job was killed because the job used more than its memory{of_limit}."
    return f"The job was killed because it used more than its memory{of_limit}."
