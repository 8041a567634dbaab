"""Only plain files are opened, and none is waited for."""

import os
from pathlib import Path

import pytest

from ipc.plain_files import open_plain


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_is_opened_by_either_kind_of_path(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    for way in (path, str(path)):
        with open_plain(way) as file:
            assert file.read() == b"content"


@pytest.mark.parametrize("kind", ["pipe", "directory", "link", "nothing"])
def test_anything_else_is_an_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "name"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("/etc/hostname")
    before = descriptors()
    with pytest.raises(OSError, match="name"):
        open_plain(path)
    assert descriptors() == before
