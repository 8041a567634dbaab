"""Versions of Python as jobs record them, in one form."""

import re

#: All that W&B's clients have written: `3.11`, `3.11.7`, `CPython 3.11.7`, `python3.11`, `pythonCPython 3.11`, and
#: `python-3.11.7` of a `runtime.txt`.
_RECORDED = re.compile(r"(?:python)?[- ]?(?:CPython )?\s*(3)\.(\d{1,3})(?:\.\d+)?\S*", re.ASCII | re.IGNORECASE)

#: The interpreter as the first word of a recorded command.
_INTERPRETER = re.compile(r"python(?:CPython )?\s*(?:\d+(?:\.\d+)*)?", re.ASCII)


def python_version(recorded: str | None) -> str | None:
    """Return the version as `3.11`, which is as much of it as W&B's agent keeps; ``None`` for what is no version."""
    found = _RECORDED.fullmatch((recorded or "").strip())
    return f"{found[1]}.{found[2]}" if found else None


def is_python(word: str) -> bool:
    """Return whether the first word of a recorded command is an interpreter of Python, be it of some version."""
    return bool(_INTERPRETER.fullmatch(word))


def python_command(word: str) -> str:
    """Return the interpreter as an image has it: `python3.11` for the recorded `pythonCPython 3.11`, else ``word``."""
    version = python_version(word) if " " in word else None
    return f"python{version}" if version else word
