"""Runs the client's command line and scripts in forks of one process, which has imported the client once.

Reads a request as JSON in each line of its standard input and answers each with the exit code, as JSON in a line.
"""

import json
import os
import runpy
import sys
from typing import Any

import wandb.apis.public
import wandb.cli.cli
import wandb.sdk.launch
from wandb.sdk.data_types._private import MEDIA_TMP


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(request)
            # The end of the program is that of a process of its own: what the client does at exit is done.
            return
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{json.dumps(os.waitstatus_to_exitcode(status))}\n")
        sys.stdout.flush()


def become(request: dict[str, Any]) -> None:
    """Be what was asked for: these arguments, this environment, this directory."""
    os.setsid()
    # The end of this process is not to remove the directory that the next ones have of the client as well.
    MEDIA_TMP._finalizer.detach()
    MEDIA_TMP.__init__("wandb-media")
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["directory"])
    said = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(descriptor, place)
    sys.stdin = open(0)  # noqa: SIM115 - the new standard input
    program, *_ = sys.argv = request["arguments"]
    if program == "wandb":
        wandb.cli.cli.cli(prog_name="wandb")
    else:
        sys.path[0] = os.path.dirname(program)  # noqa: PTH120 - as Python does it
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
