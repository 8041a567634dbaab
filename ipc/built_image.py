"""What a job leaves whose only work was to build an image: a file in its directory, for the program that asked."""

from pathlib import Path

import msgspec

IMAGE_FILE = "image.json"


class BuiltImage(msgspec.Struct, frozen=True):
    """The image ``image`` is there, built or found; ``entry_point`` is the command that its job has by itself."""

    image: str
    entry_point: tuple[str, ...] = ()


def read_image(directory: Path) -> BuiltImage | None:
    """Return what was written, or ``None``."""
    try:
        return msgspec.json.decode((directory / IMAGE_FILE).read_bytes(), type=BuiltImage)
    except (OSError, msgspec.DecodeError):
        return None


def write_image(directory: Path, built: BuiltImage) -> None:
    """Write the file, at once or not at all; raises :class:`OSError`."""
    temporary = directory / f".{IMAGE_FILE}.new"
    temporary.write_bytes(msgspec.json.encode(built))
    temporary.replace(directory / IMAGE_FILE)
