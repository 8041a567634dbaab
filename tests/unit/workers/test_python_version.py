"""Versions of Python, in every form that W&B's clients have recorded."""

import pytest

from workers.sources.python_version import is_python, python_command, python_version


@pytest.mark.parametrize(
    ("recorded", "version"),
    [
        ("3.11", "3.11"),
        ("3.11.7", "3.11"),
        ("CPython 3.11.7", "3.11"),
        ("python3.11", "3.11"),
        ("pythonCPython 3.11", "3.11"),
        ("python-3.11.7", "3.11"),
        ("3.13.0rc1", "3.13"),
        ("3.11.7+", "3.11"),
        (" 3.9\n", "3.9"),
        ("PyPy 3.10.1", None),
        ("3", None),
        ("2.7", None),
        ("3.11 || true", None),
        ("", None),
        (None, None),
    ],
)
def test_every_recorded_form_has_one_meaning(recorded: str | None, version: str | None) -> None:
    assert python_version(recorded) == version


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("python", "python"),
        ("python3", "python3"),
        ("python3.11", "python3.11"),
        ("pythonCPython 3.11", "python3.11"),
    ],
)
def test_the_interpreter_of_a_command(word: str, command: str) -> None:
    assert is_python(word)
    assert python_command(word) == command


@pytest.mark.parametrize("word", ["bash", "/usr/bin/python3", "python main.py", "pythonic"])
def test_what_is_no_interpreter(word: str) -> None:
    assert not is_python(word)
