"""Which interpreter a project gets: real ones where two are needed, else programs that say a version."""

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ipc.errors import BuildError
from ipc.settings import VenvConfig
from tests.unit.workers.test_venv import SYSTEM_PYTHON, output_of
from workers.builders.interpreters import WantedPython, find_python
from workers.builders.venv import VenvBuilder
from workers.context import JobContext
from workers.sources import Project

ContextMaker = Callable[..., JobContext]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    return tmp_path


def interpreter(directory: Path, name: str, says: str) -> str:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return str(path)


def test_the_usual_one_where_it_fits(programs: Path) -> None:
    usual = interpreter(programs, "usual", "echo 3.11.4")
    newer = interpreter(programs, "python3.13", "echo 3.13.1")

    for wanted in (WantedPython(), WantedPython(">=3.10"), WantedPython(">=3.10,<4", "3.11"), WantedPython("==3.11.4")):
        assert find_python(wanted, usual, (newer,), str(programs)) == usual


def test_then_those_of_the_configuration_then_those_on_the_path(programs: Path) -> None:
    usual = interpreter(programs, "usual", "echo 3.11.4")
    configured = interpreter(programs, "configured", "echo 3.12.1")
    interpreter(programs, "python3.13", "echo 3.13.0rc1")
    interpreter(programs, "python3.14", "echo no such version >&2; exit 127")

    assert find_python(WantedPython(">=3.12"), usual, (configured,), str(programs)) == configured
    assert find_python(WantedPython(">=3.13.0rc1"), usual, (configured,), str(programs)) == f"{programs}/python3.13"
    assert find_python(WantedPython(None, "3.13"), usual, (), str(programs)) == f"{programs}/python3.13"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (WantedPython(">=3.13"), "requires-python >=3.13. The host has 3.11, 3.12."),
        (WantedPython(None, "3.9"), "the recorded version 3.9. The host has"),
        (WantedPython(">=3.12", "3.11"), "requires-python >=3.12 and the recorded version 3.11."),
    ],
)
def test_a_host_without_one_says_what_it_has(programs: Path, wanted: WantedPython, said: str) -> None:
    usual = interpreter(programs, "usual", "echo 3.11.4")
    other = interpreter(programs, "other", "echo 3.12.1")

    with pytest.raises(BuildError) as failure:
        find_python(wanted, usual, (other, "/nonexistent/python"), "/nonexistent")
    assert said in failure.value.message
    assert failure.value.hint


def test_a_range_that_is_none_is_a_sentence(programs: Path) -> None:
    with pytest.raises(BuildError, match="is no range of versions"):
        find_python(WantedPython("latest"), interpreter(programs, "usual", "echo 3.11.4"), (), "")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("requirements", ["", "# none\n"])
def test_a_job_runs_in_the_version_that_its_project_asks_for(
    make_context: ContextMaker, tmp_path: Path, requirements: str
) -> None:
    asked = [SYSTEM_PYTHON, "-c", "import platform; print(platform.python_version())"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if version == platform.python_version():
        pytest.skip("this host has no second Python")
    context = make_context(venv=VenvConfig(cache_dir=str(tmp_path / "venvs"), pythons=(str(SYSTEM_PYTHON),)))
    (context.work / "pyproject.toml").write_text(f'[project]\nname = "a"\nrequires-python = "=={version}"\n')
    (context.work / "requirements.txt").write_text(requirements)
    builder, project = VenvBuilder(), Project(context.work)

    assert builder.needed(project, context)
    build = builder.build(project, context)

    assert output_of(build, "python", "-c", "import platform; print(platform.python_version())") == version


def test_a_project_that_asks_for_nothing_needs_no_environment(make_context: ContextMaker) -> None:
    context = make_context()
    (context.work / "pyproject.toml").write_text('[project]\nname = "a"\nrequires-python = ">=3.8"\n')

    assert not VenvBuilder().needed(Project(context.work), context)
    running = ".".join(map(str, sys.version_info[:2]))
    assert not VenvBuilder().needed(Project(context.work, python=running), context)
    with pytest.raises(BuildError, match=r"the recorded version 3\.1\."):
        VenvBuilder().needed(Project(context.work, python="3.1"), context)
