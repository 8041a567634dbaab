"""`make demo` is the first thing a newcomer runs: it works, and its own check can fail."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo.py"


@pytest.mark.timeout(300)
def test_the_demonstration_goes_as_it_should() -> None:
    done = subprocess.run([sys.executable, DEMO], cwd="/", capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "All as expected, and nothing left behind" in done.stdout


@pytest.mark.parametrize(
    ("job", "output"),
    [
        ({"phase": "failed", "exit_code": 0, "message": "why"}, "hello"),
        ({"phase": "finished", "exit_code": 1, "message": None}, "hello"),
        ({"phase": "finished", "exit_code": 0, "message": None}, "good-bye"),
    ],
)
def test_the_demonstration_sees_what_is_not_as_it_should_be(job: dict[str, object], output: str) -> None:
    demo = runpy.run_path(str(DEMO))
    expected = demo["Example"]("hello", [], "finished", 0, "hello")

    assert list(demo["_problems"](expected, {"phase": "finished", "exit_code": 0, "message": None}, "hello")) == []
    assert len(list(demo["_problems"](expected, job, output))) == 1


def test_the_demonstration_ends_what_is_left_behind(tmp_path: Path) -> None:
    demo = runpy.run_path(str(DEMO))
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as left:
        assert demo["_kill_remaining"](tmp_path) == [f"process {left.pid} was left behind: sleep 60"]
    assert demo["_kill_remaining"](tmp_path) == []


def test_the_demonstration_says_that_git_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    demo = runpy.run_path(str(DEMO))
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("env", "sh", "mkdir"):
        (tools / tool).symlink_to(f"/bin/{tool}" if Path(f"/bin/{tool}").exists() else f"/usr/bin/{tool}")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.chdir(ROOT)

    with pytest.raises(demo["Failure"], match=r"could not be made: .*git"):
        demo["_make_repository"](tmp_path / "repository")
