"""Finds what people type where YAML wants another character: marks of other keyboards, and spaces that are none.

Owns the list of such characters. Looks at lines alone and has no knowledge of keys; what stands in quotes or in a
comment is text, and is left alone.
"""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from launchd.config.diagnostics import Problem

#: Lines that are told of; a file with more has one cause for all of them.
MAX_LINES = 10

# Word processors, web pages and keyboards for Chinese and Japanese put these in place of YAML's own.
_MEANT = {
    "\uff1a": ":",
    "\ufe55": ":",
    "\uff0c": ",",
    "\u3001": ",",
    "\uff3b": "[",
    "\uff3d": "]",
    "\uff5b": "{",
    "\uff5d": "}",
    "\uff0d": "-",
    "\u2010": "-",
    "\u2013": "-",
    "\u2014": "-",
    "\u2022": "-",
    "\uff03": "#",
    "\u201c": '"',
    "\u201d": '"',
    "\u2018": "'",
    "\u2019": "'",
}

_QUOTED = re.compile(r""""(?:\\.|[^"\\])*"|'[^']*'""")
_COMMENT = re.compile(r"(?:^|\s)#.*")
# `key:value`, and no address: a colon with nothing behind it ends a key, else it is part of a text.
_NO_SPACE = re.compile(r"\s*([A-Za-z][\w-]*):(?=[^\s:/])")
_NO_SPACE_IN_LIST = re.compile(r"\s*-(?=[A-Za-z])")


def mistyped(text: str, path: Path) -> tuple[Problem, ...]:
    """Return a problem for each line of `text` with a character that YAML reads in another way than it looks.

    They explain why a file cannot be used. One that can be used may have them on purpose.
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        for why, hint in _slips(_COMMENT.sub("", _QUOTED.sub("''", line))):
            found.append(Problem(f"{path}:{number}", "", "", why, hint))
            break
        if len(found) == MAX_LINES:
            break
    return tuple(found)


def _slips(line: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a line, and what would help; `line` has neither comment nor quoted text."""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        yield "the line begins with a tab, and YAML wants spaces", "Write spaces in its place."
    for character in line:
        if character in _MEANT:
            yield f"{_named(character)} is text for YAML", f"Write {_MEANT[character]}{_space_behind(character)}."
        elif character.isspace() and not character.isascii():
            yield f"{_named(character)} is text for YAML, and no space", "Write a space."
    if missing := _NO_SPACE.match(line):
        yield f"YAML wants a space after the colon of {missing[1]}", f"Write {missing[1]}: and a space."
    if _NO_SPACE_IN_LIST.match(line):
        yield "YAML wants a space after the dash of a list", "Write - and a space."


def _named(character: str) -> str:
    name = unicodedata.name(character, "").lower()
    return f"the {name} ({character})" if character.isprintable() else f"the {name}"


def _space_behind(character: str) -> str:
    return " and a space" if _MEANT[character] in ":-" else ""
