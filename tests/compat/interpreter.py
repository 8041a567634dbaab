"""One process per version of W&B's client that has imported it, and runs commands and scripts in forks of itself."""

import json
import os
import selectors
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.compat.clients import WandbClient
from tests.support.processes import children_of

PROGRAM = Path(__file__).parent / "scripts" / "interpreter.py"


class Interpreter:
    """The process. Runs one command at a time."""

    def __init__(self, client: WandbClient, directory: Path, environ: Mapping[str, str]) -> None:
        self._output = directory / "output"
        self._process = subprocess.Popen(
            [client.python, PROGRAM],
            cwd=directory,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, arguments: list[str], directory: Path, environ: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run ``wandb`` or a script with these arguments, as :func:`subprocess.run` does."""
        request = {"arguments": arguments, "directory": str(directory), "environ": dict(environ)}
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(request | {'output': str(self._output)})}\n")
        self._process.stdin.flush()
        code = self._answer(timeout)
        said = self._output.read_text(errors="replace") if self._output.exists() else ""
        if code is None:
            self.end()
            raise subprocess.TimeoutExpired(arguments, timeout, said)
        return subprocess.CompletedProcess(arguments, code, said)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Kill it, with what it runs."""
        for process in children_of(self._process.pid):
            _kill_session(process.pid)
        _kill_session(self._process.pid)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _answer(self, timeout: float) -> int | None:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                return None
        line = self._process.stdout.readline()
        assert line, f"the interpreter ended with {self._process.wait()}"
        code: int = json.loads(line)
        return code


def _kill_session(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@contextmanager
def interpreter(client: WandbClient, directory: Path, environ: Mapping[str, str]) -> Iterator[Interpreter]:
    """A running interpreter, which ends with the block."""
    running = Interpreter(client, directory, environ)
    try:
        yield running
    finally:
        if running.is_alive():
            running.end()
