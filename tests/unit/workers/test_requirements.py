"""What a project asks to be installed, and whether that can be asked without the project at hand."""

import os
import time
from pathlib import Path

import pytest

from ipc.errors import BuildError
from workers.builders.requirement_lines import Listing
from workers.builders.requirements import MAX_FILE_BYTES, Requirements, find_requirements

NAMES = {"txt": "requirements.txt", "toml": "pyproject.toml", "frozen": "requirements.frozen.txt"}
TOML = '[project]\nname = "a"\ndependencies = ["two>=2", "three"]\n'


def write(project: Path, **files: str) -> None:
    for name, text in files.items():
        (project / NAMES[name]).write_text(text)


def found_in(project: Path) -> Requirements:
    found = find_requirements(project)
    assert found is not None
    return found


def listing_of(project: Path) -> Listing:
    found = found_in(project)
    assert found.listing is not None, found.needs_project
    return found.listing


@pytest.mark.parametrize(
    ("files", "origin", "requirements"),
    [
        ({"txt": "one\n", "toml": TOML, "frozen": "four==4\n"}, "requirements.txt", ("one",)),
        ({"toml": TOML, "frozen": "four==4\n"}, "pyproject.toml", ("two>=2", "three")),
        ({"frozen": "four==4\n"}, "requirements.frozen.txt", ("four==4",)),
        ({"txt": "# nothing\n\n", "frozen": "four==4\n"}, "requirements.frozen.txt", ("four==4",)),
        ({"toml": '[project]\nname = "a"\n', "frozen": "four==4\n"}, "requirements.frozen.txt", ("four==4",)),
    ],
)
def test_the_first_file_that_asks_for_something_counts(
    files: dict[str, str], origin: str, requirements: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path, **files)

    assert found_in(tmp_path).origin == origin
    assert listing_of(tmp_path).requirements == requirements


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


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 5000])
def test_a_project_file_that_its_parser_cannot_take_is_named(value: str, tmp_path: Path) -> None:
    write(tmp_path, toml=f"a = {value}\n")

    with pytest.raises(BuildError, match=r"pyproject\.toml cannot be read"):
        find_requirements(tmp_path)


def test_included_files_count_however_deep(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "base.txt").write_text("-c limits.txt\nthree\n-r base.txt\n")
    (tmp_path / "deep" / "limits.txt").write_text("three<4\n")
    write(tmp_path, txt="one\n-r deep/base.txt\n--requirement=deep/base.txt\n")

    listing = listing_of(tmp_path)
    assert set(listing.requirements) == {"one", "three"}
    assert set(listing.constraints) == {"three<4"}


@pytest.mark.parametrize(
    "line",
    [
        "one",
        "one[extra]>=1.0 ; python_version > '3'  # a note",
        "one==1 --hash=sha256:" + "0" * 64 + " --hash=sha256:" + "1" * 64,
        "one @ https://host.example/one-1-py3-none-any.whl",
        "-i https://a.example/simple",
        "--extra-index-url=https://a.example/simple",
        "-f https://a.example/x.html",
        "--pre",
        "--only-binary :all:",
        "a-e",
        "one \\\n  >= 1",
    ],
)
def test_plain_lines_need_no_project(line: str, tmp_path: Path) -> None:
    write(tmp_path, txt=f"two\n{line}\n")

    listing = listing_of(tmp_path)
    assert len(listing.requirements) + len(listing.options) == 2


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "--editable ./part",
        ".",
        "libs/mylib",
        "./wheels/a.whl",
        "a-1-py3-none-any.whl",
        "/srv/a.whl",
        "a @ file:///srv/a.whl",
        "a @ libs/a",
        "a @ git+https://host.example/a.git@main",
        "git+https://host.example/a.git@main",
        "a @ https://host.example/a-1.tar.gz",
        "a @ https://user:word@host.example/a-1-py3-none-any.whl",
        "a @ https://host.example/${PIP_INDEX_URL}/a-1-py3-none-any.whl",
        "-f wheels",
        "-i https://user:word@a.example/simple",
        "--extra-index-url https://a.example/${UV_INDEX_URL}",
        "--extra-index-url https://a.example/simple --no-binary=:all:",
        "--no-binary :all:",
        "--only-binary :none:",
        "--trusted-host a.example",
        "-r https://host.example/base.txt",
        "-r missing.txt",
        "-rbase.txt",
        "-r ${HOME}/base.txt",
        "-c missing.txt",
        "one --config-settings=a=b",
        "one --hash=md5:0",
        "one\x00",
        "one " + "x" * 2000,
    ],
)
def test_other_lines_need_the_project(line: str, tmp_path: Path) -> None:
    write(tmp_path, txt=f"one\n{line}\n")

    found = found_in(tmp_path)

    assert found.listing is None
    assert found.needs_project


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_names_the_encoding(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes("one\ntwo\n".encode(encoding))

    assert listing_of(tmp_path).requirements == ("one", "two")


def test_what_is_no_unicode_needs_the_project(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"one # caf\xe9\n")

    assert found_in(tmp_path).needs_project == "requirements.txt is no Unicode text"


@pytest.mark.parametrize("name", ["requirements.txt", "base.txt"])
def test_what_opens_while_another_writes_is_no_file(name: str, tmp_path: Path) -> None:
    write(tmp_path, txt="-r base.txt\n", frozen="four\n")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)

    assert found_in(tmp_path).listing == (Listing(("four",)) if name == "requirements.txt" else None)


@pytest.mark.parametrize(
    ("setting", "shared"),
    [("no-build-isolation = true", False), ("managed = false", True), ("[tool.uv.sources]\na = {path = '.'}", True)],
)
def test_settings_of_a_project_for_uv_need_it(setting: str, shared: bool, tmp_path: Path) -> None:
    write(tmp_path, toml=f"{TOML}[tool.uv]\n{setting}\n")

    assert (found_in(tmp_path).listing is not None) is shared


def test_a_file_of_uv_needs_the_project(tmp_path: Path) -> None:
    write(tmp_path, txt="one\n")
    (tmp_path / "uv.toml").touch()

    assert found_in(tmp_path).needs_project == "the project has a uv.toml"


@pytest.mark.parametrize("piece", ["\n", " ", "\\\n", "#", "-r ", "a #", "-", "\r", "[", "--hash=sha256:"])
def test_the_time_grows_with_the_length_alone(piece: str, tmp_path: Path) -> None:
    write(tmp_path, txt="one\n" + piece * (MAX_FILE_BYTES // len(piece) - 10))
    begun = time.process_time()

    find_requirements(tmp_path)

    assert time.process_time() - begun < 5


def test_files_that_are_too_long_or_too_many_need_the_project(tmp_path: Path) -> None:
    write(tmp_path, txt="one\n" * MAX_FILE_BYTES)
    assert found_in(tmp_path).needs_project == "requirements.txt is larger than 1 MiB"

    for number in range(100):
        (tmp_path / f"{number}.txt").write_text(f"-r {number + 1}.txt\n")
    write(tmp_path, txt="-r 0.txt\n")
    assert found_in(tmp_path).needs_project == "more than 50 files of requirements are included"
