"""The probe: a process that looks at the host's GPUs, for all jobs.

It says what it sees every few seconds, and at once when it is asked to. It may hang in a driver: the supervisor ends
it then, and starts another one. It decides nothing.
"""

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection, parent_process

from setproctitle import setproctitle

from ipc.exits import WorkerExit
from ipc.gpu_probe import GpuSample, ProbeEnd, ProbeFailed, SeenGpu
from workers.gpus.amd import AmdReader

Look = Callable[[], list[SeenGpu]]


def main(end: ProbeEnd) -> int:
    """Look at GPUs until the supervisor is gone; returns the exit code."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setproctitle("launchd: GPU probe")
    with suppress(EOFError, OSError):  # The supervisor is gone, or wants this one gone.
        _serve(end)
    return WorkerExit.DONE


def _serve(end: ProbeEnd) -> None:
    nvml, missing = _nvml(end.settings.sysfs)
    amd = AmdReader(end.settings.sysfs)
    answers = 0
    while True:
        try:
            seen = [*(nvml() if nvml else ()), *amd.look()]
        except Exception as error:  # noqa: BLE001 (a library of its own errors; the next probe may have better luck)
            end.say(ProbeFailed(_sentence(error)))
            return
        if not seen and missing is not None:
            end.say(ProbeFailed(missing))
            return
        end.say(GpuSample(tuple(seen), answers))
        answers = _wait(end) or answers


def _nvml(sysfs: str) -> tuple[Look | None, str | None]:
    """Return what asks NVML, and why it cannot be asked."""
    try:
        from workers.gpus.nvml import NvmlReader, NvmlUnavailable  # noqa: PLC0415 (its package may be missing)
    except ModuleNotFoundError:
        return None, "NVIDIA's GPUs cannot be seen: install launchd-agent with its extra gpu."
    try:
        return NvmlReader(sysfs).look, None
    except NvmlUnavailable as error:
        return None, str(error)


def _wait(end: ProbeEnd) -> int | None:
    """Wait until it is time to look again; return the number of the question, where there was one."""
    parent = parent_process()
    sentinels = [] if parent is None else [parent.sentinel]
    ready = connection.wait([end.fileno(), *sentinels], end.settings.seconds)
    if any(sentinel in ready for sentinel in sentinels):
        raise OSError(errno.EPIPE, "the supervisor is gone")
    return end.last_question()


def _sentence(error: Exception) -> str:
    text = str(error)
    return text if text.endswith(".") else f"The host's GPUs cannot be looked at: {type(error).__name__}: {text}."
