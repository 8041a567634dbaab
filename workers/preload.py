"""Imported by the fork server once, so that every worker starts with it in memory.

Loads the sources, the builders and the runners of the resources named in
``LAUNCHD_PRELOAD`` (separated by commas). It must not start threads or open
sockets: each worker is a copy of what this leaves.
"""

import importlib
import multiprocessing.popen_forkserver  # noqa: F401 - multiprocessing has each worker load it when it is made
import os
import signal
from collections.abc import Iterable, Iterator
from types import FrameType

from setproctitle import setproctitle

import ipc.lean_imports  # noqa: F401 - before requests
import workers.main  # noqa: F401 - to have it in memory is the purpose
from ipc.boot_clock import boot_id
from ipc.bootstrap import freeze_imports, preloaded_resources
from ipc.fork_guard import ForkGuard
from ipc.targets import BUILDERS, REGISTRIES, VENV, Target, find_target, is_ours
from workers import runners
from workers.http_headers import read_headers_plainly
from workers.processes import children, kill, wake_without_parent
from workers.rehearsal import rehearse_plainly
from workers.sources import SOURCES
from workers.worker_log import prepare_log

#: What is downloaded brings an HTTP client with it, as much memory again for every fork to map.
LOADED_WHEN_NEEDED = frozenset({"code", "job"})


def _preload() -> None:
    targets = [target for name in preloaded_resources() if (target := find_target(name)) is not None]
    paths = [target.runner for target in targets]
    builders = [BUILDERS[name].path for name in dict.fromkeys((VENV, *_usual_builders(targets)))]
    sources = [path for name, path in SOURCES.items() if name not in LOADED_WHEN_NEEDED]
    for path in filter(None, (*sources, *builders, *_usual_registries(targets), *paths)):
        _import(path.partition(":")[0])
    prepare_log()
    read_headers_plainly()
    rehearse_plainly()
    runners.preload(preloaded_resources())
    # Kept from its first use on, so that no worker or shim has to read it.
    boot_id()


def _usual_builders(targets: Iterable[Target]) -> Iterator[str]:
    """Yield the first builder of each target: the others wait for a job that needs them."""
    yield from (target.builders[0] for target in targets if target.builders)


def _usual_registries(targets: Iterable[Target]) -> Iterator[str]:
    """Yield the registries that need no SDK, where images are built."""
    if any(builder != VENV for builder in _usual_builders(targets)):
        yield from (registry.path for registry in REGISTRIES.values() if registry.extra is None)


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        # The SDK of an extra: the job that needs it says so.
        if is_ours(error.name):
            raise


def _end_with_supervisor() -> None:
    """Have a stopped fork server or worker end with its supervisor like others: no other process knows of it.

    Workers hold the pipe by whose end a fork server notices that, so it cannot wait for a stopped one.
    """
    supervisor = os.getppid()

    def continued(_number: int, _frame: FrameType | None) -> None:
        if os.getppid() != supervisor:
            # One that was stopped at its birth has not yet asked to be woken.
            kill(children(os.getpid()), signal.SIGCONT)
            os._exit(0)

    signal.signal(signal.SIGCONT, continued)
    wake_without_parent()
    os.register_at_fork(after_in_child=_be_woken)


def _be_woken() -> None:
    signal.signal(signal.SIGCONT, signal.SIG_DFL)
    wake_without_parent()


setproctitle("launchd: fork server")
_preload()
_end_with_supervisor()
ForkGuard().install()
freeze_imports()
