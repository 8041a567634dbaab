"""Names of container images: their grammar, their full form, and the patterns that a policy has of them. Pure."""

import re
from fnmatch import fnmatchcase

import msgspec

from ipc.errors import InvalidSpec

DEFAULT_REGISTRY = "docker.io"
_OFFICIAL = "library"
_ANY = "*"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>{_HOST}(?::\d{{1,5}})?)/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_ID = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_SHORT_ID = re.compile(rf"{re.escape(DEFAULT_REGISTRY)}/{_OFFICIAL}/[0-9a-f]{{12,64}}:latest", re.ASCII)
_LONGEST = 512


class ImageName(msgspec.Struct, frozen=True):
    """An image by its full name: ``repository`` begins with the registry.

    By an ``id`` alone where the repository is empty. The digest decides where there is a tag as well.
    """

    repository: str = ""
    tag: str | None = None
    digest: str | None = None
    id: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the name stands for one content for ever."""
        return self.id is not None or self.digest is not None

    @property
    def may_be_short_id(self) -> bool:
        """Whether what was written may have been meant as the beginning of an id, which no engine is asked for."""
        return _SHORT_ID.fullmatch(str(self)) is not None

    def __str__(self) -> str:
        """Return the name in full, as an engine takes it for no other image."""
        if self.id is not None:
            return self.id
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"

    def matches(self, pattern: str) -> bool:
        """Return whether a pattern of the policy covers the image.

        A pattern is a name in which ``*`` stands for any text, also for slashes; without a tag it covers all of them.
        Short patterns mean what short names mean. ``*`` alone covers every image, images by their id included.
        """
        if pattern == _ANY:
            return True
        wanted = pattern if _ID.fullmatch(pattern) else _in_full(pattern)
        names = (self.id,) if self.id is not None else (self.repository, str(self))
        return any(fnmatchcase(name, wanted) for name in names)


def parse_image(text: str) -> ImageName:
    """Return the image that ``text`` names.

    Raises:
        InvalidSpec: it is no name of an image: options, spaces and the like.
    """
    if _ID.fullmatch(text):
        return ImageName(id=text)
    match = _REFERENCE.fullmatch(text) if len(text) <= _LONGEST else None
    repository = "" if match is None else _in_full(text.partition("@")[0].removesuffix(f":{match['tag']}"))
    path = repository.partition("/")[2]
    # What stands first may be no registry, in whose name letters may be large.
    if match is None or path != path.lower():
        raise InvalidSpec(
            f"{text[:_LONGEST]!r} is no name of a container image.",
            hint="It has the form [REGISTRY/]NAME[:TAG], in small letters.",
        )
    return ImageName(repository, match["tag"] or "latest", match["digest"])


def _in_full(name: str) -> str:
    """Return a short name or pattern with its registry, by the engine's rule."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry = DEFAULT_REGISTRY if first == "index.docker.io" else first
        return _official(registry, rest)
    return _official(DEFAULT_REGISTRY, name)


def _official(registry: str, path: str) -> str:
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = f"{_OFFICIAL}/{path}"
    return f"{registry}/{path}"
