"""A program of a user, run as users run theirs: another interpreter, what it prints, how it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import patience, wait_until

END_SECONDS = 40.0


class Program:
    """A running program; ``output`` is the file with all it prints."""

    def __init__(self, source: str, directory: Path, environ: Mapping[str, str]) -> None:
        self.path = directory / "program.py"
        self.path.write_text(source)
        self.output = directory / "program.out"
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-u", str(self.path)],
                cwd=directory,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, words: str) -> None:
        """Wait until it has printed ``words``."""
        wait_until(
            lambda: words in self.text() or self.process.poll() is not None, END_SECONDS, f"{words!r} in {self.output}"
        )
        assert words in self.text(), self.text()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        return self.process.wait(patience(END_SECONDS))


@contextmanager
def program(source: str, directory: Path, environ: Mapping[str, str]) -> Iterator[Program]:
    """Run ``source`` in ``directory``; it ends with the block."""
    running = Program(source, directory, environ)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
