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
    return [file.name for file in list_code_files(root).files]


def test_histories_caches_and_environments_are_left_out(root: Path) -> None:
    put(root, "main.py", ".git/HEAD", "__pycache__/a.pyc", "old.pyc", ".venv/x", "node_modules/x", "pkg/.mypy_cache/x")
    put(root, "env39/pyvenv.cfg", "env39/bin/python", "pkg/a.py", ".github/x", "venv.py")

    assert names(root) == ["main.py", "venv.py", ".github/x", "pkg/a.py"]


def test_links_are_followed_to_files_and_to_directories_nearby(root: Path, tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/data", "shared.py", "code/pkg/a.py")
    (root / "shared.py").symlink_to("../shared.py")
    (root / "data").symlink_to("../elsewhere")
    (root / "again").symlink_to("pkg")
    os.mkfifo(root / "pipe")

    assert names(root) == ["shared.py", "again/a.py", "data/data", "pkg/a.py"]


def test_links_that_lead_nowhere_or_away_are_named(root: Path, tmp_path: Path) -> None:
    away = tmp_path.parent / f"{tmp_path.name}-away"
    put(away, "data/x")
    put(root, "main.py", "pkg/a.py")
    (root / "broken").symlink_to("nothing")
    (root / "loop").symlink_to("loop")
    (root / "pkg" / "up").symlink_to("..")
    (root / "everything").symlink_to(tmp_path)
    (root / "data").symlink_to(away / "data")

    listing = list_code_files(root)

    assert [file.name for file in listing.files] == ["main.py", "pkg/a.py"]
    assert listing.links == ["data", "everything", "broken", "loop", "pkg/up"]
    assert [file.name for file in list_code_files(root, include=("data",)).files] == ["main.py", "data/x", "pkg/a.py"]


def test_the_projects_own_lists_are_heeded(root: Path) -> None:
    put(root, "main.py", "big.ckpt", "keep.ckpt", "data/x", "pkg/data/y", "pkg/notes.txt", "pkg/kept.txt")
    put(root, "wandb/run/x")
    (root / ".gitignore").write_text("*.ckpt\n!keep.ckpt\n/data/\n*.txt\n")
    (root / ".wandbignore").write_text("# of the client\n.wandbignore\n")
    (root / "pkg" / ".gitignore").write_text("!kept.txt\n")

    listing = list_code_files(root)

    assert [file.name for file in listing.files] == [
        *(".gitignore", "keep.ckpt", "main.py"),
        *("pkg/.gitignore", "pkg/kept.txt", "pkg/data/y"),
    ]
    assert listing.ignored == ["data", ".wandbignore", "big.ckpt", "pkg/notes.txt"]
    assert "data/x" in [file.name for file in list_code_files(root, include=("data",)).files]


def test_lists_of_the_repository_around_a_directory_count(root: Path, tmp_path: Path) -> None:
    put(root, "main.py", "a.log", "b.tmp", "c.out")
    put(tmp_path, ".git/info/exclude")
    (tmp_path / ".git" / "info" / "exclude").write_text("*.tmp\n")
    (tmp_path / ".gitignore").write_text("/code/*.log\n")
    (tmp_path.parent / ".gitignore").write_text("*.out\n")

    assert names(root) == ["c.out", "main.py"]


def test_only_what_its_owner_may_execute_is_executable(root: Path) -> None:
    put(root, "a", "b")
    (root / "a").chmod(0o744)

    assert [file.executable for file in list_code_files(root).files] == [True, False]


def test_a_directory_that_cannot_be_read_is_an_error(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list_code_files(root / "missing")


def test_what_may_hold_secrets_is_left_out_and_named(root: Path) -> None:
    put(
        root, "main.py", ".env", ".env.local", "deploy/.netrc", "deploy/_netrc", "deploy/server.KEY", "ca.pem", "id_rsa"
    )
    put(root, "keys/id_ed25519.pub", ".ssh/config", ".aws/credentials", "a/.git-credentials", "environment.py")

    listing = list_code_files(root)

    assert [file.name for file in listing.files] == ["environment.py", "main.py"]
    assert listing.left_out == [
        *(".aws", ".ssh", ".env", ".env.local", "ca.pem", "id_rsa", "a/.git-credentials"),
        *("deploy/.netrc", "deploy/_netrc", "deploy/server.KEY", "keys/id_ed25519.pub"),
    ]


@pytest.mark.parametrize("include", [("ca.pem", ".aws", "deploy/.env"), ("*.pem", ".a*", "deploy/*")])
def test_what_is_named_is_uploaded_on_purpose(root: Path, include: tuple[str, ...]) -> None:
    put(root, "ca.pem", ".env", "deploy/.env", ".aws/config")

    listing = list_code_files(root, include=include)

    assert [file.name for file in listing.files] == ["ca.pem", ".aws/config", "deploy/.env"]
    assert listing.left_out == [".env"]


def test_a_link_to_what_may_hold_secrets_is_left_out_too(root: Path, tmp_path: Path) -> None:
    put(tmp_path, "home/.netrc", "home/.ssh/config", "home/notes")
    put(root, ".env")
    (root / "settings").symlink_to("../home/.netrc")
    (root / "hosts").symlink_to(tmp_path / "home/.ssh/config")
    (root / "local").symlink_to(".env")
    (root / "notes").symlink_to("../home/notes")

    listing = list_code_files(root)

    assert [file.name for file in listing.files] == ["notes"]
    assert listing.left_out == [".env", "hosts", "local", "settings"]


def test_a_directory_is_uploaded_wherever_it_lies(tmp_path: Path) -> None:
    root = tmp_path / ".aws" / "code"
    put(root, "main.py")
    (root / "link.py").symlink_to("main.py")

    assert names(root) == ["link.py", "main.py"]
