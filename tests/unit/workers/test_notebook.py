"""Notebooks as scripts: what W&B's agent makes of them, and what no notebook can do."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import SourceError
from workers.sources.ipython_syntax import to_python
from workers.sources.notebook import convert_notebook, script_of


def code(source: str | list[str]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": [], "metadata": {}, "execution_count": None}


def notebook(*cells: dict[str, Any], **keys: Any) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **keys}).encode()


def ran(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    return done.stdout or done.stderr


# -- what is converted


def test_cells_run_in_their_order_and_text_is_comments() -> None:
    text = {"cell_type": "markdown", "source": ["# Title\n", "import this is no code\r\nnor\u2028this"]}
    raw = {"cell_type": "raw", "source": "neither"}

    script = script_of(notebook(text, code(["x = 1\n", "x += 1"]), raw, code("print(x)")), "n.ipynb")

    assert ran(script) == "2\n"
    assert script.startswith("# # Title\n")


def test_lines_for_a_shell_are_left_out_as_with_wandbs_agent() -> None:
    script = script_of(notebook(code("!pip install x\nprint(1)\n!ls")), "n.ipynb")

    assert script == "print(1)\n"


def test_magics_need_ipython_and_say_so() -> None:
    script = script_of(notebook(code("%matplotlib inline\nprint('first')"), code("%env A=b")), "n.ipynb")

    compile(script, "n.py", "exec")
    assert "needs" not in ran(script_of(notebook(code("%matplotlib inline")), "n.ipynb"))
    failed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert failed.stdout == "first\n"
    assert "The notebook has magics, which need IPython: add ipython to its requirements." in failed.stderr


def test_a_notebook_is_converted_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a b.ipynb").write_bytes(notebook(code("answer = 42")))

    assert convert_notebook(tmp_path, "parts/a b.ipynb") == "parts/a b.py"

    assert runpy.run_path(str(tmp_path / "parts" / "a b.py"))["answer"] == 42


# -- what is refused


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "cannot be understood"),
        (b"[]", "cannot be understood"),
        (b'{"nbformat": 4, "other": ' + b"[" * 100_000, "cannot be understood"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}', "cannot be understood"),
        (b'{"nbformat": 3, "worksheets": []}', "is in format 3, and format 4 is what can be converted"),
        (notebook(metadata={"kernelspec": {"language": "R"}}), "is written in r, and Python is what can be run"),
    ],
)
def test_what_is_no_notebook_is_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence) as failure:
        script_of(content, "n.ipynb")
    assert failure.value.hint


def test_no_link_leads_out_of_the_project(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "secret.ipynb").write_bytes(notebook(code("secret = 1")))
    (tmp_path / "other.py").write_text("kept")
    (project / "link.ipynb").symlink_to("../secret.ipynb")
    (project / "up").symlink_to("..")
    (project / "mine.ipynb").write_bytes(notebook(code("mine = 1")))
    (project / "mine.py").symlink_to("../other.py")

    for name in ("link.ipynb", "up/secret.ipynb", "../secret.ipynb", str(tmp_path / "secret.ipynb")):
        with pytest.raises(SourceError, match="lies outside"):
            convert_notebook(project, name)
    convert_notebook(project, "mine.ipynb")

    assert (tmp_path / "other.py").read_text() == "kept"
    assert (project / "mine.py").read_text() == "mine = 1\n"


@pytest.mark.parametrize("name", ["missing.ipynb", "a\0.ipynb"])
def test_a_notebook_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="has no notebook"):
        convert_notebook(tmp_path, name)


def test_a_huge_notebook_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.sources.notebook.MAX_BYTES", 10)
    (tmp_path / "huge.ipynb").write_bytes(b" " * 11)

    with pytest.raises(SourceError, match="has more than 0 MiB"):
        convert_notebook(tmp_path, "huge.ipynb")


# -- IPython's syntax: what IPython 8 and 9 write


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("%time f(x)", "get_ipython().run_line_magic('time', 'f(x)')"),
        ("%pwd", "get_ipython().run_line_magic('pwd', '')"),
        ("if x:\n    %run other.py", "if x:\n    get_ipython().run_line_magic('run', 'other.py')"),
        ("    !ls", "get_ipython().system('ls')"),
        ("if x:\n    !ls {x} \\\n  more", "if x:\n    get_ipython().system('ls {x}    more')"),
        ("!!ls", "get_ipython().getoutput('ls')"),
        ("files = !ls -l", "files = get_ipython().getoutput('ls -l')"),
        ("t = %timeit -o f()", "t = get_ipython().run_line_magic('timeit', '-o f()')"),
        ("%%time\nx = 1\n", "get_ipython().run_cell_magic('time', '', 'x = 1\\n')"),
        ("\n\n%%bash -s a\nls", "get_ipython().run_cell_magic('bash', '-s a', 'ls\\n')"),
        # What only a person sees.
        ("%matplotlib inline", "pass  # %matplotlib inline"),
        ("%load_ext autoreload\n%autoreload 2", "pass  # %load_ext autoreload\npass  # %autoreload 2"),
        ("x?", "pass  # x?"),
        ("??x.y", "pass  # ??x.y"),
        # What is Python stays as it is.
        ('x = """\n%no\n!no\n"""', 'x = """\n%no\n!no\n"""'),
        ("x = (10\n  % 3)", "x = (10\n  % 3)"),
        ("x = 10 \\\n  % 3", "x = 10 \\\n  % 3"),
        ("x = 'it\\'s' # \"\n%pwd", "x = 'it\\'s' # \"\nget_ipython().run_line_magic('pwd', '')"),
        ("y = 'a''b'\n%pwd", "y = 'a''b'\nget_ipython().run_line_magic('pwd', '')"),
        ("y = 'open\n%pwd", "y = 'open\nget_ipython().run_line_magic('pwd', '')"),
        ("a != b\nx = a % b", "a != b\nx = a % b"),
        ("  # margin\n  x = 1\n    y", "# margin\nx = 1\n  y"),
        ("", ""),
    ],
)
def test_the_syntax_of_ipython(cell: str, python: str) -> None:
    assert to_python(cell) == python
