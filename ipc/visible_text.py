"""Text of others in characters that no terminal obeys, and that hide nothing."""

import unicodedata

#: Categories of Unicode that are obeyed or not seen: controls, formats (the bidirectional ones among them), halves of
#: surrogate pairs, and separators of lines and paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str) -> str:
    r"""Return ``text`` with Python's escapes for what is obeyed or not seen: ``\x1b``, ``\u202e``, ``\n``.

    The result is one line. A text without such characters comes back as it is, also one with backslashes in it.
    """
    return text if text.isprintable() else "".join(map(_visible_character, text))


def visible_lines(text: str) -> str:
    """Return ``text`` made :func:`visible`, line by line: its line breaks stay."""
    return "\n".join(map(visible, text.split("\n")))


def _visible_character(character: str) -> str:
    if unicodedata.category(character) in _UNSEEN:
        return character.encode("unicode_escape").decode()
    return character
