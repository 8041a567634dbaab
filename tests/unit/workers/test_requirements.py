"""What a project asks to be installed, and what makes two projects the same."""

from pathlib import Path

import pytest

from ipc.errors import BuildError
from workers.builders.requirements import find_requirements

NAMES = {"txt": "requirements.txt", "toml": "pyproject.toml", "frozen": "requirements.frozen.txt"}
TOML = '[project]\nname = "a"\ndependencies = ["two>=2", "three"]\n'


def write(project: Path, **files: str) -> None:
    for name, text in files.items():
        (project / NAMES[name]).write_text(text)


@pytest.mark.parametrize(
    ("files", "origin", "text"),
    [
        ({"txt": "one\n", "toml": TOML, "frozen": "four==4\n"}, "requirements.txt", "one\n"),
        ({"toml": TOML, "frozen": "four==4\n"}, "pyproject.toml", "two>=2\nthree"),
        ({"frozen": "four==4\n"}, "requirements.frozen.txt", "four==4\n"),
        ({"txt": "# nothing\n\n", "frozen": "four==4\n"}, "requirements.frozen.txt", "four==4\n"),
        ({"toml": '[project]\nname = "a"\n', "frozen": "four==4\n"}, "requirements.frozen.txt", "four==4\n"),
    ],
)
def test_the_first_file_that_asks_for_something_counts(
    files: dict[str, str], origin: str, text: str, tmp_path: Path
) -> None:
    write(tmp_path, **files)

    found = find_requirements(tmp_path)

    assert found is not None
    assert (found.origin, found.text) == (origin, text)


@pytest.mark.parametrize("files", [{}, {"txt": "\n# only words\n"}, {"toml": "[tool.ruff]\nline-length = 1\n"}])
def test_a_project_may_ask_for_nothing(files: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, **files)

    assert find_requirements(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["[project\n", '[project]\ndependencies = "one"\n', "[project]\ndependencies = [1]\n", "project = 3\n"]
)
def test_a_broken_project_file_is_named(text: str, tmp_path: Path) -> None:
    write(tmp_path, toml=text)

    with pytest.raises(BuildError, match=r"pyproject\.toml cannot be read"):
        find_requirements(tmp_path)


def test_included_files_count_however_deep(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "base.txt").write_text("-c limits.txt\nthree\n")
    (tmp_path / "deep" / "limits.txt").write_text("three<4\n-r base.txt\n")
    write(tmp_path, txt="one\n-r deep/base.txt\n--requirement=missing.txt\n")

    found = find_requirements(tmp_path)

    assert found is not None
    assert found.inputs == {
        "requirements.txt": "one\n-r deep/base.txt\n--requirement=missing.txt\n",
        "deep/base.txt": "-c limits.txt\nthree\n",
        "deep/limits.txt": "three<4\n-r base.txt\n",
        "missing.txt": "",
    }


def test_two_places_of_one_project_are_the_same(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        write(tmp_path / place, txt="one\n-r base.txt\n")
        (tmp_path / place / "base.txt").write_text("two\n")

    assert find_requirements(tmp_path / "here") == find_requirements(tmp_path / "there")


@pytest.mark.parametrize(
    "line", ["-e .", "--editable ./part", ".", "./wheels/a.whl", "/srv/a.whl", "a @ file:///srv/a.whl", "-f wheels"]
)
def test_requirements_of_the_projects_own_files_are_not_shared(line: str, tmp_path: Path) -> None:
    write(tmp_path, txt=f"one\n{line}\n")

    found = find_requirements(tmp_path)

    assert found is not None
    assert found.is_local


@pytest.mark.parametrize("line", ["one", "one[extra]>=1.0", "-i https://a/simple", "-f https://a/x.html", "a-e"])
def test_other_requirements_are_shared(line: str, tmp_path: Path) -> None:
    write(tmp_path, txt=f"{line}\n")

    found = find_requirements(tmp_path)

    assert found is not None
    assert not found.is_local
