"""The engine or the supervisor goes while jobs run: none is declared dead, doubled or left."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.failpoints import FAILPOINTS
from tests.support.engine import BASE_IMAGE, TestEngine
from tests.support.printing_job import LINES, SCRIPT
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import assert_stays, wait_until

pytestmark = pytest.mark.engine


@pytest.fixture
def testbed(tmp_path: Path, account: Account, engine: TestEngine, shared: Path) -> Iterator[Testbed]:
    if not engine.is_ours:
        pytest.skip("the engine is not the tests' own")
    settings = {
        "docker": {"host": engine.address, "unavailable_seconds": 20},
        "policy": {"resources": ["local-container"], "containers": {"mounts": [f"{shared}:rw"]}},
        "jobs": {"stop_grace_seconds": 1.0},
        "supervision": QUICK,
    }
    with make_testbed(tmp_path, account, max_jobs=20, launchd=settings) as opened:
        yield opened
    engine.remove_containers()


def push(testbed: Testbed, shared: Path, pause: float) -> str:
    return testbed.push(
        *("sh", "-c", SCRIPT, "job", str(pause)),
        resource="local-container",
        docker={"docker_image": BASE_IMAGE},
        resource_args={"local-container": {"volume": f"{shared}:/shared"}},
    )


def assert_all_ran_once(
    testbed: Testbed, engine: TestEngine, shared: Path, items: list[str], outputs: list[str] | None = None
) -> None:
    over = testbed.wait_over(items, 60)
    assert [(item.state, item.message or "") for item in over] == [("FINISHED", "")] * len(items)
    assert [_output(testbed, item) for item in items] == (outputs or [LINES] * len(items))
    names = (shared / "runs").read_text().split()
    assert len(names) == len({name.rpartition("-")[0] for name in names}) == len(items)
    wait_until(lambda: engine.containers() == {}, 20, "no container is left")


def _output(testbed: Testbed, item_id: str) -> str:
    name = str(testbed.job(item_id)["workload_name"])
    return (testbed.state_dir / "jobs" / name / "output.log").read_text()


def _phases(testbed: Testbed, items: list[str]) -> set[str | None]:
    return {testbed.phase(item) for item in items}


def test_an_engine_that_is_restarted_ends_no_job(testbed: Testbed, engine: TestEngine, shared: Path) -> None:
    testbed.start_agent()
    items = [push(testbed, shared, 0.3) for _ in range(3)]
    wait_until(lambda: _phases(testbed, items) == {"running"}, 40, "all jobs run")

    engine.stop()
    engine.start()

    assert_all_ran_once(testbed, engine, shared, items)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_may_be_away_for_a_minute(
    testbed: Testbed, engine: TestEngine, shared: Path, how: signal.Signals
) -> None:
    """One of the jobs ends in that minute: it is seen by no process, and it is told all the same.

    What it prints meanwhile the engine loses (20.10, with `live-restore`); its submitter is told that.
    """
    testbed.start_agent()
    items = [push(testbed, shared, 1.0), push(testbed, shared, 4.0)]
    wait_until(lambda: _phases(testbed, items) == {"running"}, 40, "both jobs run")

    engine.stop(how)
    wait_until(lambda: _phases(testbed, items) == {"unknown"}, 30, "the outage was noticed")
    assert_stays(lambda: _phases(testbed, items) == {"unknown"}, 60, "what is not known")
    engine.start()

    testbed.wait_over(items, 60)
    first = _output(testbed, items[0])
    assert LINES.startswith(first)
    warning = "The job ended while its target did not answer, which may have lost the end of its output."
    assert warning in [one.message for one in testbed.item(items[0]).warnings]
    assert warning not in [one.message for one in testbed.item(items[1]).warnings]
    assert_all_ran_once(testbed, engine, shared, items, [first, LINES])


SUPERVISORS = [name for name in FAILPOINTS if name.startswith("supervisor.") and name != "supervisor.adopting"]


@pytest.mark.parametrize(
    "failpoint",
    [
        pytest.param(
            name, marks=[] if name in ("supervisor.submit_approved", "supervisor.outcome") else pytest.mark.long
        )
        for name in SUPERVISORS
    ],
)
def test_a_supervisor_may_die_anywhere_over_containers(
    testbed: Testbed, engine: TestEngine, shared: Path, failpoint: str
) -> None:
    fired = testbed.directory / "fired"
    fired.mkdir()
    armed = {"LAUNCHD_FAILPOINTS": f"{failpoint}=kill", "LAUNCHD_FAILPOINTS_ONCE": str(fired)}
    agent = testbed.start_agent(**armed)
    items = [push(testbed, shared, pause) for pause in (0, 0.1)]

    wait_until((fired / failpoint).exists, 30, f"the failpoint {failpoint}")
    wait_until(lambda: agent.exit_code() is not None, 20, "the supervisor died")
    agent.wait_gone()
    testbed.start_agent(**armed)

    assert_all_ran_once(testbed, engine, shared, items)
