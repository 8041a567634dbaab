"""The jobs of a fault campaign: what each does, how it must end, and what it must have printed."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec

#: First thing, in one write at the end of a file that all jobs share: number and workload name.
NOTE_RUN = 'echo "$1 $LAUNCHD_JOB_NAME" >> "$2"\n'

#: Arguments of each: the job's number, the file of runs, seconds, and a number of its own.
SCRIPTS = {
    "short": 'sleep "$3"',
    "failing": 'sleep "$3"; exit "$4"',
    "printing": """
        i=0
        while [ "$i" -lt "$4" ]; do
            i=$((i + 1)); echo "line $i"
            if [ $((i % 100)) = 0 ]; then sleep 0.05; fi
        done""",
    "forking": """
        setsid sleep 300 &
        (sleep 300 & sleep 300) &
        if [ "$4" = 1 ]; then sh -c 'trap "" TERM; sleep 300' & fi
        sleep "$3" """,
}

KINDS = ("short", "short", "failing", "printing", "forking")


class FaultJob(msgspec.Struct, frozen=True):
    """One job; ``exit_code`` and ``lines`` are what is to come of it."""

    number: int
    kind: str
    seconds: float
    exit_code: int = 0
    lines: int = 0
    parameter: int = 0

    @property
    def state(self) -> str:
        """The state in which its item must end."""
        return "FAILED" if self.exit_code else "FINISHED"

    def command(self, runs: Path) -> tuple[str, ...]:
        """Return its command line; it notes each of its runs at the end of ``runs``."""
        script = NOTE_RUN + SCRIPTS[self.kind]
        return ("sh", "-c", script, "job", str(self.number), str(runs), str(self.seconds), str(self.parameter))


def random_jobs(random: Random, count: int) -> Iterator[FaultJob]:
    """Yield ``count`` jobs; the same ones for the same seed."""
    for number in range(count):
        kind = random.choice(KINDS)
        seconds = round(random.uniform(0, 1), 2)
        match kind:
            case "failing":
                code = random.randint(1, 125)
                yield FaultJob(number, kind, seconds, exit_code=code, parameter=code)
            case "printing":
                lines = random.randint(1, 2000)
                yield FaultJob(number, kind, seconds, lines=lines, parameter=lines)
            case "forking":
                yield FaultJob(number, kind, seconds, parameter=random.choice((0, 0, 1)))
            case _:
                yield FaultJob(number, kind, seconds)


def missing_lines(job: FaultJob, output: Path) -> int:
    """Return how many of the lines of ``job`` are not in ``output``, or not in their place."""
    text = output.read_text(errors="replace") if output.exists() else ""
    found = text.splitlines()
    wanted = [f"line {number}" for number in range(1, job.lines + 1)]
    present = sum(line == want for line, want in zip(found, wanted, strict=False))
    return job.lines - present + max(0, len(found) - job.lines)
