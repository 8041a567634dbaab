"""Only plain files are opened, and none is waited for."""

from pathlib import Path

import pytest

from ipc.plain_files import open_plain
from tests.support.odd_files import ODD_KINDS, put_odd_file


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_is_opened_by_either_kind_of_path(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    for way in (path, str(path)):
        with open_plain(way) as file:
            assert file.read() == b"content"


@pytest.mark.parametrize("kind", [*ODD_KINDS, "nothing"])
def test_anything_else_is_an_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "name"
    if kind != "nothing":
        put_odd_file(path, kind)
    before = descriptors()
    with pytest.raises(OSError, match="name"):
        open_plain(path)
    assert descriptors() == before
