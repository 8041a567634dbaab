"""A gate for jobs: they wait before it without using the processor, and all go on at once when it is opened."""

import os
from pathlib import Path


class Gate:
    """A gate at ``path``; a shell waits at it with :attr:`wait`."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._path = path
        #: A shell command: it ends when the gate is opened.
        self.wait = f"cat {path}"

    def open(self) -> None:
        """Let go on whoever waits."""
        # Opened for both, it releases all that wait to open it for reading, and waits for nobody itself. An empty file
        # takes its place for those who come later; then their last writer goes.
        descriptor = os.open(self._path, os.O_RDWR)
        opened = self._path.with_suffix(".opened")
        opened.touch()
        opened.replace(self._path)
        os.close(descriptor)
