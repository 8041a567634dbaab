"""Failpoints: named, armed by the environment, fired once where asked, and of no effect otherwise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ipc.failpoints import FAILPOINTS, FailpointReached, Failpoints, UnknownFailpoint, parse

ROOT = Path(__file__).parents[3]


def test_an_unarmed_failpoint_does_nothing() -> None:
    Failpoints({}).hit("worker.hello")


def test_an_armed_one_raises() -> None:
    with pytest.raises(FailpointReached, match=r"worker\.hello"):
        Failpoints({"LAUNCHD_FAILPOINTS": "worker.hello=raise"}).hit("worker.hello")


def test_one_armed_once_fires_in_one_process_only(tmp_path: Path) -> None:
    environ = {"LAUNCHD_FAILPOINTS": "worker.hello=raise", "LAUNCHD_FAILPOINTS_ONCE": str(tmp_path)}
    with pytest.raises(FailpointReached):
        Failpoints(environ).hit("worker.hello")
    Failpoints(environ).hit("worker.hello")


@pytest.mark.parametrize("text", ["nowhere=kill", "worker.hello=explode", "worker.hello"])
def test_what_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(UnknownFailpoint):
        parse(text)


@pytest.mark.parametrize(("action", "code"), [("kill", -9), ("exit", 0), ("raise", 1)])
def test_an_action_ends_the_process_as_it_says(action: str, code: int) -> None:
    script = "from ipc.failpoints import hit; hit('worker.hello'); raise SystemExit(5)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"LAUNCHD_FAILPOINTS": f"worker.hello={action}"},
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    assert done.returncode == code


def test_every_failpoint_is_hit_somewhere_and_every_hit_is_listed() -> None:
    hits = set()
    for package in ("launchd", "workers"):
        for path in (ROOT / package).rglob("*.py"):
            hits |= set(re.findall(r'\bhit\("([a-z_.]+)"\)', path.read_text()))
    assert hits == set(FAILPOINTS)
