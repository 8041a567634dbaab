"""IPython's own syntax as Python: `%magic`, `%%magic`, `!command`, `name = %magic`, `name?`.

What comes out is what IPython's own transformation writes: calls of ``get_ipython()``
(https://ipython.readthedocs.io/en/stable/config/inputtransforms.html). Strings, brackets and continued lines are told
apart, so that a `%` which divides, or stands in a text, stays as it is. What only shows something to a person becomes
a `pass`.
"""

import re
from collections.abc import Iterator

SHELL_CALL = "get_ipython()"

#: Magics that say how a person sees the notebook: a script has no use for them.
_FOR_VIEWERS = re.compile(r"%(?:matplotlib|config|autoreload|load_ext\s+autoreload)\b.*", re.DOTALL)

_CELL_MAGIC = re.compile(r"%%(\w[\w.]*)[^\S\n]*(.*)")
_MAGIC = re.compile(r"%%?(\S+)\s*(.*)", re.DOTALL)
_ASSIGNED = re.compile(r"(?P<target>[\w.,\s\[\]'\"*()]+?=\s*)(?P<kind>[%!])(?P<command>\S.*)", re.DOTALL)
_HELP = re.compile(r"\?.*|%{0,2}[\w.*\[\]]+\s*\?\??\s*;?\s*")

_OPENING, _CLOSING = "([{", ")]}"
_SIGN = re.compile(r"\"\"\"|'''|[\"'#(\[{)\]}]")


class _Place:
    """Whether a line begins a statement, after the lines that came before it."""

    def __init__(self) -> None:
        self._quote = ""
        self._depth = 0
        self._is_continued = False

    @property
    def begins_statement(self) -> bool:
        return not (self._quote or self._depth or self._is_continued)

    def pass_line(self, line: str) -> None:
        position, is_comment = 0, False
        while not is_comment and (found := self._next(line, position)) is not None:
            position = found.end()
            is_comment = self._pass_sign(found[0])
        self._is_continued = line.endswith("\\") and not is_comment
        if len(self._quote) == 1 and not self._is_continued:
            # A text in single quotes ends with its line.
            self._quote = ""

    def _next(self, line: str, position: int) -> re.Match[str] | None:
        wanted = re.compile(rf"\\.|{self._quote}") if self._quote else _SIGN
        return wanted.search(line, position)

    def _pass_sign(self, sign: str) -> bool:
        """Note one sign; return whether a comment begins."""
        if self._quote:
            self._quote = "" if sign == self._quote else self._quote
        elif sign in _OPENING:
            self._depth += 1
        elif sign in _CLOSING:
            self._depth = max(0, self._depth - 1)
        elif sign != "#":
            self._quote = sign
        return not self._quote and sign == "#"


def to_python(cell: str) -> str:
    """Return the code of a cell in plain Python."""
    lines = _without_margin(cell).split("\n")
    found = _CELL_MAGIC.fullmatch(lines[0])
    if found is not None:
        body = "".join(f"{line}\n" for line in (lines[1:-1] if lines[-1] == "" else lines[1:]))
        return _call("run_cell_magic", found[1], found[2].rstrip(), body)
    return "\n".join(_translated(lines))


def _without_margin(cell: str) -> str:
    """Return the cell without blank lines at its beginning, and without the indentation of its first line."""
    text = re.sub(r"\A(?:[^\S\n]*\n)+", "", cell)
    margin = text[: len(text) - len(text.lstrip())]
    return re.sub(rf"(?m)^{margin}", "", text) if margin else text


def _translated(lines: list[str]) -> Iterator[str]:
    place = _Place()
    rest = iter(lines)
    for line in rest:
        if not place.begins_statement:
            place.pass_line(line)
            yield line
            continue
        code = line.lstrip()
        if code.startswith(("%", "!")) or _ASSIGNED.fullmatch(code):
            # Such a command goes on where its line ends with a backslash.
            while code.endswith("\\"):
                code = f"{code[:-1]} {next(rest, '')}"
        translated = _statement(code)
        if translated is None:
            place.pass_line(line)
        yield line if translated is None else line[: len(line) - len(line.lstrip())] + translated


def _statement(code: str) -> str | None:
    """Return a statement of IPython's as one of Python's, ``None`` for any other."""
    if _FOR_VIEWERS.fullmatch(code) or _HELP.fullmatch(code):
        return f"pass  # {code}"
    if code.startswith("!!"):
        return _call("getoutput", code[2:].strip())
    if code.startswith("!"):
        return _call("system", code[1:].strip())
    if (found := _MAGIC.fullmatch(code)) is not None:
        return _call("run_line_magic", found[1], found[2].strip())
    if (found := _ASSIGNED.fullmatch(code)) is not None:
        return found["target"] + _assigned(found["kind"], found["command"].strip())
    return None


def _assigned(kind: str, command: str) -> str:
    if kind == "!":
        return _call("getoutput", command)
    name, _, arguments = command.partition(" ")
    return _call("run_line_magic", name, arguments.strip())


def _call(method: str, *arguments: str) -> str:
    return f"{SHELL_CALL}.{method}({', '.join(map(repr, arguments))})"
