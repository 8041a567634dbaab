"""``python -m tests.support.worker_imports DIRECTORY`` runs one command as a worker; prints what had to be loaded.

Prints, as a JSON list, the modules that this worker had to read from the disk because the fork server held them not.
"""

import importlib
import json
import os
import subprocess
import sys
from multiprocessing import connection
from pathlib import Path

from ipc.bootstrap import PRELOAD_VARIABLE, spawn_worker, start_fork_server
from ipc.channel import ChannelClosed, SupervisorEnd, WorkerEnd, open_channel
from ipc.messages import Hello, Start, SubmitApproved, Submitting
from ipc.run_spec import Overrides, RunSpec
from ipc.work_order import WorkOrder, write_order

PRELOAD = "workers.preload"
LIST_FILE = "modules.json"
NAME = "launchd-one-1"
TARGET = "tests.support.worker_imports:run_and_list"


def run_and_list(end: WorkerEnd) -> int:
    """Be a worker; then write down the names of all modules in this process."""
    code: int = importlib.import_module("workers.main").main(end)
    Path(os.environ[LIST_FILE]).write_text(json.dumps(sorted(sys.modules)))
    return code


def main(directory: Path) -> None:
    """Run the command and print what the module's text says."""
    os.environ |= {PRELOAD_VARIABLE: "local-process", LIST_FILE: str(directory / LIST_FILE)}
    start_fork_server([PRELOAD])
    spec = RunSpec("entity", "project", "run", "local-process", overrides=Overrides(entry_point=("true",)))
    order = WorkOrder(NAME, "item", "queue", "entity", 1, "http://localhost", spec, str(directory / "job"))
    write_order(order)
    end, worker_end = open_channel()
    spawn_worker(TARGET, worker_end)
    end.close_peer_ends()
    _see_to_its_end(end, order)
    held = _loaded_by_the_fork_server()
    loaded = [name for name in json.loads((directory / LIST_FILE).read_text()) if name not in held]
    sys.stdout.write(json.dumps(loaded))


def _see_to_its_end(end: SupervisorEnd, order: WorkOrder) -> None:
    try:
        while True:
            connection.wait([end.fileno()])
            match end.receive():
                case Hello():
                    end.send(Start(order.directory, order.name, ""))
                case Submitting(name):
                    end.send(SubmitApproved(name))
    except ChannelClosed:
        return


def _loaded_by_the_fork_server() -> set[str]:
    script = f"import json, sys, {PRELOAD}; print(json.dumps(sorted(sys.modules)))"
    return set(json.loads(subprocess.check_output([sys.executable, "-c", script])))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
