"""What a build says: kept in a file of the job, shown as progress, and read for why it failed.

Understands the plain progress of BuildKit (``#7 2.1 text`` is what a step writes, ``#7 [2/4] RUN ...`` its beginning),
and takes every other line for output.
"""

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.images.install_frozen import MARK

#: In the job's directory: the output of the build of its image.
BUILD_LOG_FILE = "build.log"

_MAX_BYTES = 32 << 20
_STEP = re.compile(r"#\d+ \[(?P<place>[^\]]*)\] (?P<instruction>.+)")
_OUTPUT = re.compile(r"#\d+ \d+\.\d+ (?P<text>.*)")
#: How pip, uv, apt and compilers begin a complaint; the lines after it belong to it.
_COMPLAINT = re.compile(r"(?:ERROR|error|E): *|× +")
_ORNAMENTS = str.maketrans("╰├─▶│", "     ")
_FAILED_STEP = re.compile(r"^ > \[(?P<place>[^\]]*)\] (?P<instruction>.+?):?$", re.MULTILINE)
_NOISE = re.compile(r"--mount=\S+ |if \[ -f \S+ \]; then \. \S+; fi; ")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LONGEST = 300


class BuildLog:
    """The log of one build, in ``path``, which is begun anew. ``secrets`` are not to be seen in it."""

    def __init__(self, path: Path, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secrets)
        self._room = _MAX_BYTES
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        self.left_out: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def redact(self, text: str) -> str:
        """Return ``text`` without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def add(self, line: str) -> None:
        """Keep a line, which went through :meth:`redact`."""
        text = _output(line)
        if text.startswith(MARK):
            self.left_out = text.removeprefix(MARK)
        data = f"{line}\n".encode(errors="replace")[: self._room]
        self._room -= len(data)
        # On a full disk the build goes on; its end is kept in memory.
        with suppress(OSError):
            os.write(self._descriptor, data)


def follow(log: BuildLog, progress: Callable[[str], None]) -> Callable[[str], None]:
    """Return what takes the lines of a build: each is kept in ``log``, and its gist goes to ``progress``."""

    def take(line: str) -> None:
        log.add(line)
        gist = _gist(line)
        if gist:
            progress(f"building the image: {gist}")

    return take


def _gist(line: str) -> str:
    step = _STEP.fullmatch(line)
    if step is not None:
        return f"[{step['place']}] {_NOISE.sub('', step['instruction'])}"[:_LONGEST]
    return _output(line).strip()[:_LONGEST]


def _output(line: str) -> str:
    """Return what a step wrote, without what BuildKit puts before it."""
    found = _OUTPUT.fullmatch(line)
    return _CONTROL.sub("", found["text"] if found else line)


def in_words(output: str) -> str:
    """Return the step at which a build failed, and its last words on it, as sentences; empty without either."""
    steps = list(_FAILED_STEP.finditer(output))
    at = f"It failed at {_NOISE.sub('', steps[-1]['instruction'])[:_LONGEST]!r}." if steps else ""
    said = _last_word(output)
    return " ".join(filter(None, (at, f"It said: {said.rstrip('.')}." if said else "")))


def _last_word(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    said = [_output(line) for line in lines if _OUTPUT.fullmatch(line)] or lines
    complaints = [number for number, line in enumerate(said) if _COMPLAINT.search(line)]
    words = " ".join(said[complaints[-1] if complaints else -1 :]).translate(_ORNAMENTS)
    return " ".join(_COMPLAINT.sub("", words, count=1).split())[:_LONGEST]
