"""``python -m benchmarks.faults [--jobs N] [--seed N]``: kill processes at random, and count what went wrong.

Workers, the supervisor, the fork server and the queue server are victims; the shims and the jobs' own processes are
not, for a job whose keeper is killed rightly fails. The seed gives the jobs and the kills; when a kill hits is up to
the machine. Exit code 0: nothing was lost, doubled, left behind or wrong.
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
from benchmarks.fault_jobs import missing_lines
from benchmarks.victims import describe
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

#: How long processes may take to be gone once the agent has left.
LEAVING_SECONDS = 15.0


class Tally(msgspec.Struct):
    """What became of the jobs of a campaign; each list holds one sentence per case."""

    queued: int
    lost: list[str]
    doubled: list[str]
    unrun: list[str]
    wrong: list[str]
    silent: list[str]
    disagreeing: list[str]
    surprises: list[str]
    left: list[str]

    @property
    def failures(self) -> dict[str, list[str]]:
        """Everything that must be empty, under its name."""
        return {
            "lost (not over)": self.lost,
            "run twice": self.doubled,
            "never run though FINISHED": self.unrun,
            "wrong outcome": self.wrong,
            "output lines missing (jobs)": self.silent,
            "journal and server disagree": self.disagreeing,
            "supervisor ended by itself": self.surprises,
            "processes left behind": self.left,
        }


def main() -> int:
    """Run one campaign and print what it showed."""
    arguments = _arguments()
    print(f"seed {arguments.seed}, {arguments.jobs} jobs, {arguments.max_jobs} at once", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="launchd-faults-"))
    before = time.monotonic()
    with make_testbed(
        directory, max_jobs=arguments.max_jobs, launchd={"jobs": {"keep_finished": arguments.jobs}}
    ) as opened:
        campaign = Campaign(opened, arguments.seed, arguments.jobs, arguments.max_jobs)
        campaign.run()
        tally = _tally(campaign, opened)
    _print(tally, campaign.kills, time.monotonic() - before)
    if any(tally.failures.values()):
        print(f"\nLogs, journal and job directories are in {directory}.")
        return 1
    shutil.rmtree(directory)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="how many jobs (default 1000)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="repeats a campaign")
    parser.add_argument("--max-jobs", type=int, default=8, help="how many jobs at once (default 8)")
    return parser.parse_args()


def _tally(campaign: Campaign, opened: Testbed) -> Tally:
    runs = _read_runs(campaign.runs)
    counts = Counter(number for number, _ in runs)
    return Tally(
        queued=len(campaign.pushed),
        lost=[f"item {item_id}: {opened.item(item_id).state}" for item_id in campaign.open],
        doubled=[f"job {number} ran {count} times" for number, count in counts.items() if count > 1],
        unrun=_never_run(campaign, counts),
        wrong=_wrong_outcomes(campaign),
        silent=_missing_output(campaign, dict(runs), opened.state_dir / "jobs"),
        disagreeing=_disagreements(campaign, opened),
        surprises=[f"exit code {code}" for code in campaign.surprises],
        left=_left_behind(campaign, opened),
    )


def _read_runs(path: Path) -> list[tuple[int, str]]:
    """Return number and workload name of each run, in order."""
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
    silent = []
    for item_id in campaign.ended:
        job = campaign.pushed[item_id]
        if job.kind == "printing" and job.number in names:
            missing = missing_lines(job, directories / names[job.number] / "output.log")
            silent += [f"item {item_id}: {missing} of {job.lines} lines"] if missing else []
    return silent


def _disagreements(campaign: Campaign, opened: Testbed) -> list[str]:
    wait_until(lambda: opened.outbox() == 0, timeout=30, what="the outbox is empty")
    journal = {item_id: state.upper() for item_id, state in opened.journal_states().items()}
    return [
        f"item {item_id}: {journal.get(item_id)} in the journal, {item.state} at the server"
        for item_id, item in campaign.ended.items()
        if journal.get(item_id) != item.state
    ]


def _left_behind(campaign: Campaign, opened: Testbed) -> list[str]:
    """Have the agent leave; return what has not gone with it."""
    assert opened.agent is not None
    opened.agent.wait_ready()
    opened.agent.terminate()
    deadline = time.monotonic() + LEAVING_SECONDS
    while (left := campaign.victims.left()) and time.monotonic() < deadline:
        time.sleep(0.1)
    sentences = [describe(process) for process in left]
    for process in left:
        process.kill()
    return sentences


def _print(tally: Tally, kills: Counter[str], seconds: float) -> None:
    right = tally.queued - len(tally.lost) - len(tally.wrong)
    rows = {"jobs queued": tally.queued, "ended with the expected outcome": right}
    rows |= {what: len(cases) for what, cases in tally.failures.items()}
    rows |= {f"kills: {kill}": count for kill, count in sorted(kills.items())}
    rows |= {"kills": kills.total(), "seconds": round(seconds)}
    print("| what | count |")
    print("|---|---|")
    for what, count in rows.items():
        print(f"| {what} | {count} |")
    for what, cases in tally.failures.items():
        for case in cases:
            print(f"{what}: {case}")


if __name__ == "__main__":
    sys.exit(main())
