"""The plain part of the language of requirements files: names with versions, indexes, hashes, included files.

What is outside of it is not guessed at: it needs the project. Pure; time grows with the length of the text alone.
"""

import codecs
import posixpath
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # The mark of UTF-16 is the beginning of that of UTF-32.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LONGEST_REQUIREMENT = 1000
_HASH = re.compile(r"--hash=(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
_ARCHIVES = (".whl", ".zip", ".gz", ".tgz", ".tar", ".bz2", ".tbz", ".xz", ".txz", ".lzma", ".tlz", ".egg")
_FLAGS = frozenset({"--pre", "--prefer-binary", "--no-index", "--require-hashes"})
#: Options whose value is the address of an index or of a page with links, each with its long name.
ADDRESS_OPTIONS = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
}
_INCLUDES = frozenset({"-r", "--requirement"})
_CONSTRAINTS = frozenset({"-c", "--constraint"})


class NeedsProject(Exception):
    """Requirements can be installed only with the project at hand; the text says why, as a part of a sentence."""


class Listing(msgspec.Struct, frozen=True):
    """Requirements that say the same wherever they are read: lines of files that include no others.

    ``options`` say how and where to look for ``requirements``, which ``constraints`` limit.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def listed(name: str, data: bytes, read: Callable[[str], bytes]) -> Listing:
    """Return the requirements in ``data``, the content of the file ``name``; ``read`` gives a file it includes.

    Raises:
        NeedsProject: something in them is not plain.
    """
    reader = _Reader(read)
    reader.take_list(name, data)
    return Listing(tuple(reader.requirements), tuple(reader.constraints), tuple(reader.options))


def names_indexes(name: str, data: bytes, read: Callable[[str], bytes]) -> bool:
    """Return whether the file ``name``, or one that it includes, names an index or a page of links, plain or not."""
    seen: set[str] = set()

    def names_one(name: str, data: bytes) -> bool:
        for line in logical_lines(read_text(data, name)):
            option, value = _option(line)
            if option in ADDRESS_OPTIONS or option[:2] in ("-i", "-f"):
                return True
            included = _included(option, value, posixpath.dirname(name))
            if included is not None and included not in seen:
                seen.add(included)
                with suppress(NeedsProject):
                    if names_one(included, read(included)):
                        return True
        return False

    with suppress(NeedsProject):
        return names_one(name, data)
    return False


def _included(option: str, value: str, directory: str) -> str | None:
    with suppress(_NotPlain):
        return _path(directory, value) if option in _INCLUDES | _CONSTRAINTS else None
    return None


def read_text(data: bytes, name: str) -> str:
    """Return the text of the file ``name``; raises :class:`NeedsProject` where it is no Unicode."""
    mark, encoding = next(((mark, encoding) for mark, encoding in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise NeedsProject(f"{name} is no Unicode text") from error


def logical_lines(text: str) -> Iterator[str]:
    """Yield the lines of ``text`` that say something: continued ones joined, without comments."""
    parts: list[str] = []
    for line in text.splitlines():
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            parts.append(line[:-1])
            continue
        # A comment within a continued line ends it and is none of it.
        parts.append(line)
        if joined := _without_comment("".join(parts)):
            yield joined
        parts.clear()
    if joined := _without_comment("".join(parts)):
        yield joined


def _without_comment(line: str) -> str:
    position = line.find("#")
    while position > 0 and not line[position - 1].isspace():
        position = line.find("#", position + 1)
    return (line if position < 0 else line[:position]).strip()


class _Reader:
    """Gathers plain lines from a file of requirements and those it includes."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self.requirements: list[str] = []
        self.constraints: list[str] = []
        self.options: list[str] = []
        self._read = read
        self._read_before: set[str] = set()

    def take_list(self, name: str, data: bytes) -> None:
        """Take a file of requirements."""
        for line in logical_lines(read_text(data, name)):
            try:
                self._take(line, posixpath.dirname(name))
            except _NotPlain as why:
                raise NeedsProject(f"a line in {name} {why}") from why

    def _take(self, line: str, directory: str) -> None:
        if not line.startswith("-"):
            self.requirements.append(_plain_requirement(line))
            return
        option, value = _option(line)
        if option in _INCLUDES:
            self._include(_path(directory, value))
        elif option in _CONSTRAINTS:
            self._constrain(_path(directory, value))
        else:
            self.options.append(_plain_option(option, value))

    def _include(self, name: str) -> None:
        # Two that include each other are not for ever.
        if name not in self._read_before:
            self._read_before.add(name)
            self.take_list(name, self._read(name))

    def _constrain(self, name: str) -> None:
        for line in logical_lines(read_text(self._read(name), name)):
            try:
                self.constraints.append(_plain_requirement(line))
            except _NotPlain as why:
                raise NeedsProject(f"a line in {name} {why}") from why


class _NotPlain(Exception):
    """A line is not plain; the text says why, as the rest of a sentence that begins with it."""


def _plain_requirement(line: str) -> str:
    words, *hashes = line.split(" --", 1)
    _check_requirement(words.rstrip())
    if hashes and not all(map(_HASH.fullmatch, f"--{hashes[0]}".split())):
        raise _NotPlain("has options of its own")
    return line


def _check_requirement(text: str) -> None:
    if len(text) > _LONGEST_REQUIREMENT:
        raise _NotPlain("is very long")
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise _NotPlain("is no name with a version") from error
    if requirement.name.lower().endswith(_ARCHIVES):
        raise _NotPlain("names a file")
    if requirement.url is not None and not _is_wheel(_plain_address(requirement.url)):
        raise _NotPlain("names something else than a wheel")


def _is_wheel(address: SplitResult) -> bool:
    return address.path.endswith(".whl")


def _plain_option(option: str, value: str) -> str:
    if option in _FLAGS and not value:
        return option
    # Others could let the installer run what it finds, or trust a server without a certificate.
    if option == "--only-binary" and value == ":all:":
        return f"{option} {value}"
    if option not in ADDRESS_OPTIONS:
        raise _NotPlain(f"has the option {option[:40]}")
    _plain_address(value)
    return f"{ADDRESS_OPTIONS[option]} {value}"


def _plain_address(text: str) -> SplitResult:
    """Return the parts of an address that means the same everywhere and holds no secret."""
    try:
        address = urlsplit(text)
        # The installer would put variables of its own environment into it.
        is_plain = address.scheme in ("http", "https") and address.hostname and text.isascii() and _is_inert(text)
    except ValueError:
        is_plain = False
    if not is_plain:
        raise _NotPlain("names something else than an address on the web")
    if address.username is not None or address.password is not None or address.query:
        raise _NotPlain("has a secret in its address")
    return address


def _is_inert(text: str) -> bool:
    return "$" not in text and not any(map(str.isspace, text))


def _option(line: str) -> tuple[str, str]:
    option, *rest = re.split(r"[\s=]", line, maxsplit=1)
    return option, rest[0].strip() if rest else ""


def _path(directory: str, value: str) -> str:
    if not value or "://" in value or "$" in value or value[0] in "\"'":
        raise _NotPlain("includes something else than a file")
    return posixpath.join(directory, value)
