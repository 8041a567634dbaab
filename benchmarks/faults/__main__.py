"""``python -m benchmarks.faults [--jobs N] [--seed N] [--kinds KIND,...]``: run jobs while all around them fails.

Processes are killed, stopped and thawed, the link to the queue server loses and replaces answers, the disk is full,
clocks are set, databases are restored from snapshots, and hosts lose their power with what was not synced. The seed
determines the jobs and the sequence of the acts; what a job is doing when an act happens depends on the machine. Exit
code 0 means that no promise was broken, 2 that none of the kinds can run here.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from benchmarks.faults.acts import GROUPS
from benchmarks.faults.campaign import Campaign
from benchmarks.faults.power import check_power
from benchmarks.faults.requirements import CannotRun, check_compiler, check_fuse, enter_namespace
from benchmarks.faults.stage import Stage
from benchmarks.faults.verdict import Verdict, judge


def main() -> int:
    """Run one campaign and print its verdict; return the exit code."""
    arguments = _arguments()
    groups = _runnable(arguments.kinds)
    if not groups:
        return 2
    print(
        f"seed {arguments.seed}, {arguments.jobs} jobs, {arguments.max_jobs} at once, kinds {','.join(groups)}",
        flush=True,
    )
    directory = Path(tempfile.mkdtemp(prefix="launchd-faults-"))
    before = time.monotonic()
    with ExitStack() as stack:
        stage = Stage(stack, directory, groups, arguments.jobs, arguments.max_jobs)
        campaign = Campaign(stage, arguments.seed, groups, arguments.jobs, arguments.max_jobs)
        campaign.run()
        verdict = judge(campaign)
        _print(verdict, campaign, time.monotonic() - before)
        if any(verdict.failures.values()):
            print(f"\nLogs, journal and job directories are in {_kept(stage)}.")
            return 1
    shutil.rmtree(directory)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="number of jobs (default: 1000)")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="seed of the jobs and acts (default: random)"
    )
    parser.add_argument("--max-jobs", type=int, default=8, help="number of jobs at once (default: 8)")
    parser.add_argument(
        "--kinds", type=_groups, default=GROUPS, help=f"kinds of act, of {','.join(GROUPS)} (default: all that can run)"
    )
    return parser.parse_args()


def _groups(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    unknown = [group for group in chosen if group not in GROUPS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such kind: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    return chosen


def _runnable(groups: Collection[str]) -> tuple[str, ...]:
    """Return the groups that this machine can run; goes on in a mount namespace where one needs it."""
    try:
        check_compiler(groups)
        check_fuse(groups)
        enter_namespace(groups)
        check_power(groups)
    except CannotRun as error:
        print(error)
        return _runnable([group for group in groups if group != error.group])
    return tuple(groups)


def _kept(stage: Stage) -> Path:
    """Return where the files stay; those of a disk that ends with this process are copied."""
    directory = stage.testbed.directory
    if stage.disk is not None:
        stage.disk.empty()
        shutil.copytree(stage.testbed.state_dir, directory / "state-copy", symlinks=True)
    if stage.power is not None:
        shutil.copytree(stage.power.server_disk.mount_point, directory / "server-copy", symlinks=True)
    return directory


def _print(verdict: Verdict, campaign: Campaign, seconds: float) -> None:
    right = len(campaign.ended) - len(verdict.wrong_outcome) - verdict.true_failures.total()
    rows: dict[str, object] = {"jobs queued": verdict.queued, "ended with the expected outcome": right}
    rows |= {"gone with a restored queue server": verdict.gone, "dead letters": verdict.dead_letters}
    rows |= {f"true failures: {sentence}": count for sentence, count in verdict.true_failures.items()}
    rows |= {what: len(cases) for what, cases in verdict.failures.items()}
    rows |= {f"acts: {kind}": count for kind, count in sorted(campaign.acts.items())}
    rows |= {"acts": campaign.acts.total(), "seconds": round(seconds)}
    print("| what | count |")
    print("|---|---|")
    for what, count in rows.items():
        print(f"| {what} | {count} |")
    for what, cases in verdict.failures.items():
        for case in cases:
            print(f"{what}: {case}")


if __name__ == "__main__":
    sys.exit(main())
