"""Which Dockerfile counts, and with which context: W&B's order."""

from pathlib import Path
from typing import Any

import pytest

from ipc.errors import SourceError
from workers.images.own_dockerfile import OwnDockerfile, find_own
from workers.sources import Project


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    (path / "train").mkdir(parents=True)
    (path / "Dockerfile").write_text("FROM a")
    (path / "train" / "Dockerfile.wandb").write_text("FROM beside")
    (path / "train" / "Dockerfile").write_text("FROM inner")
    (tmp_path / "outside").write_text("FROM outside")
    return path


def found(
    tree: Path, named: str | None = None, entry_point: tuple[str, ...] = (), **fields: Any
) -> OwnDockerfile | None:
    return find_own(tree, Project(tree, **fields), named, entry_point)


def test_the_one_named_for_this_run_wins(tree: Path) -> None:
    assert found(tree, "Dockerfile", ("python", "train/main.py"), dockerfile="no") == OwnDockerfile("FROM a", tree)


def test_then_the_jobs_own(tree: Path) -> None:
    assert found(tree, None, ("python", "train/main.py"), dockerfile="Dockerfile") == OwnDockerfile("FROM a", tree)


def test_it_is_looked_for_in_the_build_context(tree: Path) -> None:
    own = found(tree, "Dockerfile", build_context="train")

    assert own == OwnDockerfile("FROM inner", tree / "train")


def test_then_one_beside_the_entry_point_with_that_directory_alone(tree: Path) -> None:
    own = found(tree, None, ("python3", "train/main.py"))

    assert own == OwnDockerfile("FROM beside", tree / "train", ("python3", "main.py"))


def test_a_command_with_more_words_stays_as_it_is(tree: Path) -> None:
    own = found(tree, None, ("python", "-u", "train/main.py"))

    assert own == OwnDockerfile("FROM beside", tree / "train", ())


def test_else_there_is_none(tree: Path) -> None:
    assert found(tree, None, ("python", "main.py")) is None
    assert found(tree) is None


@pytest.mark.parametrize("path", ["no", "../outside", "/etc/hostname", "train/../../outside", "loop", "train"])
def test_what_is_no_file_of_the_project_is_refused(tree: Path, path: str) -> None:
    (tree / "loop").symlink_to("loop")

    with pytest.raises(SourceError):
        found(tree, path)


@pytest.mark.parametrize("path", ["no", "..", "/", "Dockerfile"])
def test_a_context_is_a_directory_of_the_project(tree: Path, path: str) -> None:
    with pytest.raises(SourceError):
        found(tree, "Dockerfile", build_context=path)


def test_the_entry_point_leads_to_no_directory_outside(tree: Path) -> None:
    (tree.parent / "Dockerfile.wandb").write_text("FROM outside")

    assert found(tree, None, ("python", "../main.py")) is None
    assert found(tree, None, ("python", f"{tree.parent}/main.py")) is None


def test_a_file_that_is_no_text_is_refused(tree: Path) -> None:
    (tree / "Dockerfile").write_bytes(b"FROM \xff")

    with pytest.raises(SourceError, match="no text in UTF-8"):
        found(tree, "Dockerfile")
