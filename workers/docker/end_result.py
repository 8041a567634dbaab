"""How a container ended, read from what its engine says. Pure."""

import signal

import msgspec

from ipc.handles import ExitResult
from ipc.sizes import format_size
from workers.docker.engine import CREATED, Container

#: Above this, an exit code is a signal's number more than it, as shells and engines have it.
SIGNAL_CODES = 128


def exit_result(container: Container) -> ExitResult:
    """Return how the container ended; the engine gives signals as exit codes, as shells do."""
    if container.state.status == CREATED:
        # After a power cut, say: it was started once, or there would be no look for its end.
        return ExitResult(message="The container engine has forgotten the container's start; its exit status is lost.")
    code, killed = container.state.exit_code, container.state.oom_killed
    if SIGNAL_CODES < code < SIGNAL_CODES + signal.NSIG:
        message = _memory_message(container) if killed else _signal_message(container, code - SIGNAL_CODES)
        return ExitResult(signal=code - SIGNAL_CODES, oom_killed=killed, message=message)
    message = _memory_message(container) if killed else container.state.error or None
    return ExitResult(code=code, oom_killed=killed, message=message)


def with_gpu_loss(result: ExitResult, loss: str) -> ExitResult:
    """Return ``result``, that of a job that failed, with the sentence that its container had lost GPUs before."""
    how = f"signal {result.signal}" if result.signal is not None else f"exit code {result.code}"
    before = result.message or f"The job's process ended with {how}."
    return msgspec.structs.replace(result, message=f"{before} {loss}")


def _memory_message(container: Container) -> str:
    limit = container.host.memory
    of_limit = f" of {limit >> 20} MiB" if limit else ""
    if container.state.exit_code == 0:
        return f"A process of the job was killed because the job used more than its memory{of_limit}."
    return f"The job was killed because it used more than its memory{of_limit}."


def _signal_message(container: Container, number: int) -> str | None:
    """Return what a signal most often means, where that helps; else what the engine says."""
    if number != signal.SIGBUS:
        return container.state.error or None
    size = f" of {format_size(container.host.shm_size)}" if container.host.shm_size else ""
    return (
        f"The job was killed by SIGBUS, which most often means that its shared memory{size} is full: give it more with"
        " the argument shm-size."
    )
