"""Starts the fork server and workers from it, without importing what a worker imports.

The supervisor names the worker's code by a dotted path; only the worker's own
process loads it. That keeps everything a job may need out of the supervisor.
"""

import gc
import importlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.process
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from multiprocessing.context import ForkServerProcess
from typing import Protocol, TypeVar

#: Names the resources whose runners the fork server loads in advance.
PRELOAD_VARIABLE = "LAUNCHD_PRELOAD"
#: Names the directory with the sockets of processes that serve all workers.
SERVICES_VARIABLE = "LAUNCHD_SERVICES"

_context = multiprocessing.get_context("forkserver")


class ChildEnd(Protocol):
    """A child's side of what joins it to the supervisor."""

    def close_peer_ends(self) -> None:
        """Close the ends that belong to the supervisor; called once in the child."""
        ...


End = TypeVar("End", bound=ChildEnd)


def start_fork_server(preload: Sequence[str]) -> None:
    """Start the fork server, which imports ``preload`` once for all workers.

    Call it before any thread, socket or secret exists in this process: the
    server, and so every worker, starts from a copy of this process's environment.
    """
    _hide_main_module()
    _context.set_forkserver_preload(list(preload))
    multiprocessing.forkserver.ensure_running()


def fork_server_pid() -> int | None:
    """Return the process id of the running fork server, or ``None``."""
    pid: int | None = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    return pid


class WorkerNotForked(Exception):
    """The kernel gave the fork server no process for a worker; the message has its reason."""


def spawn_worker(target: str, end: ChildEnd) -> ForkServerProcess:
    """Start a worker that runs ``target`` (``"package.module:function"``) with its end of the channel.

    Also for a process that serves all jobs, with an end of its own kind.

    Raises:
        WorkerNotForked: the kernel refused the fork.
        OSError: the fork server cannot be reached or started.
        EOFError: the fork server died, or could not take the request.
    """
    process = _context.Process(target=run_worker, args=(target, end), daemon=False)
    process.start()
    if process.pid is not None and process.pid < 0:
        # The fork guard's answer: an error number.
        reason = os.strerror(-process.pid)
        process.join()
        process.close()
        raise WorkerNotForked(f"this host gave it no process: {reason}")
    # multiprocessing would poll this child whenever another starts, from whichever thread
    # starts it, and take its exit code; and it would wait for the child at this process's exit.
    multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]
    return process


def run_worker(target: str, end: End) -> None:
    """Run ``target(end)`` in this, the worker's, process and leave with its exit code."""
    end.close_peer_ends()
    module_name, function_name = target.split(":")
    main: Callable[[End], int] = getattr(importlib.import_module(module_name), function_name)
    code = main(end)
    # The interpreter's own shutdown takes longer than many jobs.
    sys.stderr.flush()
    os._exit(code)


def preloaded_resources() -> list[str]:
    """Return the resources for which workers are made ready in advance."""
    return [name for name in os.environ.get(PRELOAD_VARIABLE, "").split(",") if name]


def services_directory() -> str | None:
    """Return where the processes that serve all workers listen, ``None`` outside an agent."""
    return os.environ.get(SERVICES_VARIABLE) or None


def freeze_imports() -> None:
    """Keep the garbage collector off everything imported so far.

    Forked workers then go on sharing its memory, and a collection costs next to nothing.
    """
    gc.collect()
    gc.freeze()


def _hide_main_module() -> None:
    # A child would otherwise import the command line again, as __mp_main__, to be able
    # to unpickle functions defined there. There are none; multiprocessing skips packages' __main__.
    main = sys.modules["__main__"]
    main.__spec__ = ModuleSpec("launchd.__main__", None)
