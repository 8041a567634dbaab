"""``python -m benchmarks.faults [--jobs N] [--seed N]``: kill processes at random, and count the errors.

Workers, the supervisor, the fork server and the queue server are killed; shims and the processes of jobs are not, as a
job whose shim is killed fails by design. The seed determines the jobs and the order of the kills; what a job is doing
when a kill happens depends on the machine. Exit code 0 means that no errors were found.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec

from benchmarks.campaign import Campaign
from benchmarks.fault_injector import describe
from benchmarks.fault_jobs import missing_lines
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

#: The time in which all processes have to end after SIGTERM to the agent.
EXIT_SECONDS = 15.0


class CampaignResult(msgspec.Struct):
    """The number of items pushed, and the errors found: each list has one sentence per case."""

    queued: int
    lost: list[str]
    run_twice: list[str]
    never_run: list[str]
    wrong_outcome: list[str]
    missing_output: list[str]
    disagreements: list[str]
    unexpected_exits: list[str]
    left_behind: list[str]

    @property
    def failures(self) -> dict[str, list[str]]:
        """All lists of errors, by their names in the table."""
        return {
            "lost (not ended)": self.lost,
            "run twice": self.run_twice,
            "never run though FINISHED": self.never_run,
            "wrong outcome": self.wrong_outcome,
            "output lines missing (jobs)": self.missing_output,
            "journal and server disagree": self.disagreements,
            "supervisor ended without a kill": self.unexpected_exits,
            "processes left behind": self.left_behind,
        }


def main() -> int:
    """Run one campaign and print its result; return the exit code."""
    arguments = _arguments()
    print(f"seed {arguments.seed}, {arguments.jobs} jobs, {arguments.max_jobs} at once", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="launchd-faults-"))
    before = time.monotonic()
    with make_testbed(
        directory, max_jobs=arguments.max_jobs, launchd={"jobs": {"keep_finished": arguments.jobs}}
    ) as testbed:
        campaign = Campaign(testbed, arguments.seed, arguments.jobs, arguments.max_jobs)
        campaign.run()
        result = _evaluate(campaign, testbed)
    _print(result, campaign.kills, time.monotonic() - before)
    if any(result.failures.values()):
        print(f"\nLogs, journal and job directories are in {directory}.")
        return 1
    shutil.rmtree(directory)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="number of jobs (default: 1000)")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="seed of the jobs and kills (default: random)"
    )
    parser.add_argument("--max-jobs", type=int, default=8, help="number of jobs at once (default: 8)")
    return parser.parse_args()


def _evaluate(campaign: Campaign, testbed: Testbed) -> CampaignResult:
    runs = _read_runs(campaign.runs)
    counts = Counter(number for number, _ in runs)
    return CampaignResult(
        queued=len(campaign.pushed),
        lost=[f"item {item_id}: {testbed.item(item_id).state}" for item_id in campaign.open_items],
        run_twice=[f"job {number} ran {count} times" for number, count in counts.items() if count > 1],
        never_run=_never_run(campaign, counts),
        wrong_outcome=_wrong_outcomes(campaign),
        missing_output=_missing_output(campaign, dict(runs), testbed.state_dir / "jobs"),
        disagreements=_disagreements(campaign, testbed),
        unexpected_exits=[f"exit code {code}" for code in campaign.unexpected_exits],
        left_behind=_left_behind(campaign, testbed),
    )


def _read_runs(path: Path) -> list[tuple[int, str]]:
    """Return the job number and workload name of each run, in order."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(number), name) for number, name in (line.split() for line in lines)]


def _never_run(campaign: Campaign, runs: Counter[int]) -> list[str]:
    finished = [item_id for item_id, item in campaign.ended.items() if item.state == "FINISHED"]
    return [f"item {item_id}" for item_id in finished if not runs[campaign.pushed[item_id].number]]


def _wrong_outcomes(campaign: Campaign) -> list[str]:
    wrong = []
    for item_id, item in campaign.ended.items():
        job = campaign.pushed[item_id]
        if (item.state, item.exit_code) != (job.state, job.exit_code):
            seen = f"{item.state} with {item.exit_code} ({item.message})"
            wrong.append(f"item {item_id}, {job.kind}: {seen} instead of {job.state} with {job.exit_code}")
    return wrong


def _missing_output(campaign: Campaign, names: dict[int, str], directories: Path) -> list[str]:
    incomplete = []
    for item_id in campaign.ended:
        job = campaign.pushed[item_id]
        if job.kind == "printing" and job.number in names:
            missing = missing_lines(job, directories / names[job.number] / "output.log")
            incomplete += [f"item {item_id}: {missing} of {job.lines} lines"] if missing else []
    return incomplete


def _disagreements(campaign: Campaign, testbed: Testbed) -> list[str]:
    wait_until(lambda: testbed.outbox() == 0, timeout=30, what="the outbox is empty")
    journal = {item_id: state.upper() for item_id, state in testbed.journal_states().items()}
    return [
        f"item {item_id}: {journal.get(item_id)} in the journal, {item.state} at the server"
        for item_id, item in campaign.ended.items()
        if journal.get(item_id) != item.state
    ]


def _left_behind(campaign: Campaign, testbed: Testbed) -> list[str]:
    """Terminate the agent; return a description of each process that is still alive afterwards, and kill it."""
    assert testbed.agent is not None
    testbed.agent.wait_ready()
    testbed.agent.terminate()
    deadline = time.monotonic() + EXIT_SECONDS
    while (left := campaign.injector.remaining_processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    descriptions = [describe(process) for process in left]
    for process in left:
        process.kill()
    return descriptions


def _print(result: CampaignResult, kills: Counter[str], seconds: float) -> None:
    right = result.queued - len(result.lost) - len(result.wrong_outcome)
    rows = {"jobs queued": result.queued, "ended with the expected outcome": right}
    rows |= {what: len(cases) for what, cases in result.failures.items()}
    rows |= {f"kills: {kill}": count for kill, count in sorted(kills.items())}
    rows |= {"kills": kills.total(), "seconds": round(seconds)}
    print("| what | count |")
    print("|---|---|")
    for what, count in rows.items():
        print(f"| {what} | {count} |")
    for what, cases in result.failures.items():
        for case in cases:
            print(f"{what}: {case}")


if __name__ == "__main__":
    sys.exit(main())
