"""Makes a script of a Jupyter notebook, as W&B's agent does.

The format is nbformat 4: https://nbformat.readthedocs.io/en/latest/format_description.html. W&B's agent drops the lines
that begin with `!` and has nbconvert with IPython do the rest. Of that nothing is needed here but the cells' text and
IPython's syntax of magics: those two packages would bring forty others into the process that holds the credentials.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec

from ipc.errors import SourceError
from ipc.plain_files import open_plain
from workers.sources.ipython_syntax import SHELL_CALL, to_python

SUFFIX = ".ipynb"

#: A notebook keeps its pictures in itself.
MAX_BYTES = 64 << 20

_FORMAT = 4
_PYTHON = ("python", "ipython")
_ENDS_IN_LINE = re.compile(r"[\r\n\f\v\x1c-\x1e\x85\u2028\u2029]")

#: So that magics work where the job's environment has IPython, as that of most notebooks has.
_PREAMBLE = '''\
def get_ipython():
    """Return IPython's shell of this script."""
    import sys

    try:
        from IPython.terminal.interactiveshell import TerminalInteractiveShell
    except ImportError:
        raise RuntimeError("The notebook has magics, which need IPython: add ipython to its requirements.") from None
    return TerminalInteractiveShell.instance(user_module=sys.modules[__name__], user_ns=globals())
'''


class _Language(msgspec.Struct, frozen=True):
    name: str | None = None
    language: str | None = None


class _Metadata(msgspec.Struct, frozen=True):
    language_info: _Language = _Language()
    kernelspec: _Language = _Language()

    @property
    def language(self) -> str:
        return (self.language_info.name or self.kernelspec.language or _PYTHON[0]).lower()


class _Cell(msgspec.Struct, frozen=True):
    cell_type: str
    source: str | list[str] = ""

    @property
    def text(self) -> str:
        return "".join(self.source)


class _Notebook(msgspec.Struct, frozen=True):
    nbformat: int
    cells: list[_Cell] = []
    metadata: _Metadata = _Metadata()


_decoder = msgspec.json.Decoder(_Notebook)


def convert_notebook(project: Path, name: str) -> str:
    """Write the notebook ``name``, a path within ``project``, as a script beside it; return the script's name.

    The script replaces what has its name. No link leads the conversion out of the project.

    Raises:
        SourceError: there is no such notebook, or it is none of Python in a format that is known.
        OSError: the script cannot be written.
    """
    path = _inside(project, name)
    text = script_of(_read(path, name), name)
    script = path.with_suffix(".py")
    script.unlink(missing_ok=True)
    with script.open("x", encoding="utf-8") as file:
        file.write(text)
    return f"{name.removesuffix(SUFFIX)}.py"


def script_of(content: bytes, name: str) -> str:
    """Return a notebook as a script; raises :class:`SourceError`, in which it is called ``name``."""
    try:
        notebook = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"The notebook {name} cannot be understood: {error}.", hint="Save it again.") from error
    if notebook.nbformat != _FORMAT:
        raise SourceError(
            f"The notebook {name} is in format {notebook.nbformat}, and format {_FORMAT} is what can be converted.",
            hint=f"Convert it with: jupyter nbconvert --to notebook --nbformat {_FORMAT} {name}",
        )
    if notebook.metadata.language not in _PYTHON:
        raise SourceError(
            f"The notebook {name} is written in {notebook.metadata.language}, and Python is what can be run.",
            hint="Make the job from a script, or from an image.",
        )
    cells = list(chain.from_iterable(map(_script_lines, notebook.cells)))
    needs_shell = any(SHELL_CALL in cell for cell in cells)
    return "\n\n".join([_PREAMBLE] * needs_shell + cells)


def _script_lines(cell: _Cell) -> Iterator[str]:
    """Yield a cell as a part of a script: what is no code becomes comments."""
    if cell.cell_type == "code":
        # As W&B's agent: lines for a shell are dropped, packages among them come from the frozen requirements.
        lines = [line for line in cell.text.split("\n") if not line.startswith("!")]
        yield to_python("\n".join(lines)).rstrip() + "\n"
    elif cell.cell_type == "markdown":
        yield "".join(f"# {line}\n" for line in _ENDS_IN_LINE.split(cell.text))


def _inside(project: Path, name: str) -> Path:
    try:
        path = (project / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"The job has no notebook {name}.", hint="See that its name is right.") from error
    if not path.is_relative_to(project.resolve()):
        raise SourceError(f"The notebook {name} lies outside of the job's code.", hint="Put it into the code.")
    return path


def _read(path: Path, name: str) -> bytes:
    try:
        with open_plain(path) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        sentence = f"The notebook {name} cannot be read: {error.strerror}."
        raise SourceError(sentence, hint="See that its name is that of a file.") from error
    if len(content) > MAX_BYTES:
        raise SourceError(
            f"The notebook {name} has more than {MAX_BYTES >> 20} MiB.",
            hint="Clear its outputs, and make the job again.",
        )
    return content
