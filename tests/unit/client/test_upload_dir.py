"""The files of a directory that are uploaded as code."""

import os
from pathlib import Path

import pytest

from launchd.client.upload_dir import list_code_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    return tmp_path / "code"


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(root: Path) -> list[str]:
    return [file.name for file in list_code_files(root)]


def test_histories_caches_and_environments_are_left_out(root: Path) -> None:
    put(root, "main.py", ".git/HEAD", "__pycache__/a.pyc", "old.pyc", ".venv/x", "node_modules/x", "pkg/.mypy_cache/x")
    put(root, "env39/pyvenv.cfg", "env39/bin/python", "pkg/a.py", ".github/x", "venv.py")

    assert names(root) == ["main.py", "venv.py", ".github/x", "pkg/a.py"]


def test_a_link_to_a_file_counts_and_other_links_do_not(root: Path, tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/data", "shared.py")
    (root / "shared.py").symlink_to("../shared.py")
    (root / "data").symlink_to("../elsewhere")
    (root / "broken").symlink_to("nothing")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")

    assert names(root) == ["shared.py"]


def test_only_what_its_owner_may_execute_is_executable(root: Path) -> None:
    put(root, "a", "b")
    (root / "a").chmod(0o744)

    assert [file.executable for file in list_code_files(root)] == [True, False]


def test_a_directory_that_cannot_be_read_is_an_error(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(list_code_files(root / "missing"))
