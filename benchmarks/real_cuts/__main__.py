"""``python -m benchmarks.real_cuts [--cuts N] [--jobs N] [--seed N]``: cut the power of a whole machine while jobs run.

The machine (``tests/parts/vm``) is emulated: its kernel, file system (ext4) and disk are real, and what it had not
synced is lost with it. After each cut it boots again and goes on; after the last, until all jobs have ended. Exit code
0 means that no job was lost, ran twice, or was told wrongly; 2 that the machine cannot run here. Needs root on Debian.
"""

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.real_cuts.machine import CannotRun, Machine

#: What a job may say that its host's power cut has ended.
RESTARTED = "The host was restarted while the job ran; its exit status is lost."


class Observed:
    """What the machine has said over all its boots."""

    def __init__(self) -> None:
        self.items: dict[int, str] = {}
        self.runs: Counter[int] = Counter()
        self.outcomes: dict[str, list[dict[str, Any] | None]] = {}
        self.boots = 0
        self.problems: list[str] = []

    def take(self, line: str) -> None:
        """Note what ``line`` says."""
        match line.strip().split(" ", 2):
            case ["STARTED"]:
                self.boots += 1
            case ["PUSHED", number, item_id]:
                self.items[int(number)] = item_id
            case ["RUN", number]:
                self.runs[int(number)] += 1
            case ["ENDED", item_id, outcome]:
                self.outcomes.setdefault(item_id, []).append(json.loads(outcome))
            case ["PROBLEM", *_] | ["Traceback", *_]:
                self.problems.append(line)
            case _:
                pass

    def failures(self) -> list[str]:
        """Return a sentence for each broken promise."""
        broken = list(self.problems)
        broken += [f"job {number} ran {count} times" for number, count in self.runs.items() if count > 1]
        for number, item_id in self.items.items():
            seen = self.outcomes.get(item_id, [])
            broken += [f"job {number}, item {item_id}: has not ended"] if not seen else []
            broken += [
                f"job {number}, item {item_id}: {outcome}" for outcome in seen if not self._is_true(number, outcome)
            ]
            broken += [f"job {number}, item {item_id}: told as {seen}"] if any(one != seen[0] for one in seen) else []
        return broken

    def told_of_restart(self) -> int:
        """Return how many jobs failed because their host was restarted."""
        last = [seen[-1] for seen in self.outcomes.values()]
        return sum(outcome is not None and outcome["message"] == RESTARTED for outcome in last)

    def _is_true(self, number: int, outcome: dict[str, Any] | None) -> bool:
        if outcome is None:
            return False
        if outcome["state"] == "FAILED" and outcome["message"] == RESTARTED:
            return True
        code = number % 100 if number % 2 else 0
        expected = ("FAILED" if code else "FINISHED", code)
        return bool(self.runs[number]) and (outcome["state"], outcome["exit_code"]) == expected


def main() -> int:
    """Run it and print what was seen; return the exit code."""
    arguments = _arguments()
    print(f"seed {arguments.seed}, {arguments.cuts} cuts, {arguments.jobs} jobs before each", flush=True)
    observed = Observed()
    before = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="launchd-real-cuts-") as name:
        try:
            machine = Machine(Path(name))
        except CannotRun as error:
            print(error)
            return 2
        for number in range(arguments.cuts + 1):
            is_cut = number < arguments.cuts
            _boot(machine, observed, f"{arguments.seed}-{number}", arguments.jobs if is_cut else 0, is_cut=is_cut)
    print(f"jobs {len(observed.items)}, runs {observed.runs.total()}, boots {observed.boots}, ", end="")
    print(f"ended by a restart {observed.told_of_restart()}, seconds {time.monotonic() - before:.0f}")
    failures = observed.failures()
    print("\n".join(failures or ["No promise was broken."]))
    return 1 if failures else 0


def _boot(machine: Machine, observed: Observed, seed: str, jobs: int, *, is_cut: bool) -> None:
    first = max(observed.items, default=-1) + 1
    arguments = ["--seed", seed, "--first", str(first), "--jobs", str(jobs), *(["--cut"] if is_cut else [])]
    for line in machine.boot([*arguments, *observed.items.values()], "CUT" if is_cut else None):
        print(f"  {line}", flush=True)
        observed.take(line)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_cuts", description=__doc__)
    parser.add_argument("--cuts", type=int, default=3, help="number of power cuts (default: 3)")
    parser.add_argument("--jobs", type=int, default=8, help="jobs pushed before each cut (default: 8)")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="seed of jobs and cuts (default: random)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
