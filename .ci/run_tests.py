#!/usr/bin/env python3
"""Runs pytest, and tests that fail once more, each alone: one that passes then is FLAKY and shown with both outputs.

More than five failures get no second chance. The exit code is 0 if all passed in the end, else that of the first run:
a flaky test is for its owners to mend and fails no run.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

MOST = 5
PYTEST = (sys.executable, "-m", "pytest")


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as name:
        failures = Path(name, "failures.json")
        first = subprocess.run([*PYTEST, f"--failures={failures}", *arguments], check=False).returncode
        failed: dict[str, str] = json.loads(failures.read_text()) if failures.exists() else {}
    if first != 1 or not 0 < len(failed) <= MOST:
        return first
    again = [run_alone(test, text, "--long" in arguments) for test, text in failed.items()]
    return 0 if all(again) else first


def run_alone(test: str, before: str, long: bool) -> bool:
    """Run one test; returns whether it passed."""
    say(f"AGAIN, ALONE: {test}")
    options = ["-p", "no:cacheprovider", *(["--long"] if long else [])]
    done = subprocess.run(
        [*PYTEST, "-q", *options, test], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        say(f"FAILED TWICE: {test}", done.stdout.decode(errors="replace"))
        return False
    say(f"FLAKY: {test}", "It failed beside the others:", before, "and passed alone:")
    say(done.stdout.decode(errors="replace"))
    return True


def say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
