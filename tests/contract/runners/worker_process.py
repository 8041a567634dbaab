"""A worker reduced to its dealings with a runner: run as a process of its own, so that it can be killed.

Modes: ``submit`` submits and says so; ``prepare`` stops before it; ``send`` dies the moment the shim has its
launch; ``half`` dies with half of the launch sent.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from ipc.errors import JobError
from ipc.work_order import read_order
from workers.runners import LaunchRequest, create_runner, local_process
from workers.runners.local_process import LocalProcessRunner


def main(directory: Path, mode: str) -> None:
    local_process.ANSWER_TIMEOUT_SECONDS = float(os.environ["TEST_ANSWER_TIMEOUT"])
    order = read_order(directory)
    data = (directory / "launch.json").read_bytes()
    launch = msgspec.json.decode(data, type=LaunchRequest, dec_hook=lambda kind, value: kind(value))
    if mode in ("send", "half"):
        send_and_die(LocalProcessRunner(order), launch, whole=mode == "send")
    runner = create_runner(order, ())
    runner.prepare()
    runner.validate()
    if mode == "prepare":
        say({"done": "prepared"})
    else:
        try:
            say({"done": msgspec.to_builtins(runner.submit(launch))})
        except JobError as error:
            say({"failed": error.message})
    sys.stdin.read()


def send_and_die(runner: LocalProcessRunner, launch: LaunchRequest, *, whole: bool) -> None:
    runner.prepare()
    assert runner._waiting is not None
    data = msgspec.json.encode(runner._shim_launch(launch))
    runner._waiting._connection.sendall(data if whole else data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def say(word: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(word).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
