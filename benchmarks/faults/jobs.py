"""The jobs of a fault campaign: their commands, expected outcomes and expected output."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec

#: Runs first: appends the job's number and workload name, in one write, to a file that all jobs share.
RECORD_RUN = 'echo "$1 $LAUNCHD_JOB_NAME" >> "$2"\n'

#: Shell scripts by kind of job. Arguments: the job's number, the file of runs, seconds, and a parameter of the kind.
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
        case "$4" in
            1) sh -c 'trap "" TERM; sleep 300' & ;;
            2) setsid env -i /bin/sh -c '/bin/sleep 300 & exit' ;;
        esac
        sleep "$3" """,
}

#: The kinds from which jobs are chosen at random; a kind that is listed twice is twice as likely.
KINDS = ("short", "short", "failing", "printing", "forking")


class FaultJob(msgspec.Struct, frozen=True):
    """One job; ``exit_code`` and ``lines`` are its expected exit code and number of output lines."""

    number: int
    kind: str
    seconds: float
    exit_code: int = 0
    lines: int = 0
    parameter: int = 0

    @property
    def state(self) -> str:
        """The expected final state of its item."""
        return "FAILED" if self.exit_code else "FINISHED"

    def command(self, runs: Path) -> tuple[str, ...]:
        """Return its command line, which appends one line per run to the file ``runs``."""
        script = RECORD_RUN + SCRIPTS[self.kind]
        return ("sh", "-c", script, "job", str(self.number), str(runs), str(self.seconds), str(self.parameter))


def random_jobs(random: Random) -> Iterator[FaultJob]:
    """Yield jobs without end; the same seed gives the same jobs."""
    for number in itertools.count():
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
                yield FaultJob(number, kind, seconds, parameter=random.choice((0, 0, 1, 2)))
            case _:
                yield FaultJob(number, kind, seconds)


def missing_lines(job: FaultJob, output: Path) -> int:
    """Return how many lines in ``output`` are missing, out of place or unexpected for ``job``."""
    text = output.read_text(errors="replace") if output.exists() else ""
    found = text.splitlines()
    wanted = [f"line {number}" for number in range(1, job.lines + 1)]
    present = sum(line == want for line, want in zip(found, wanted, strict=False))
    return job.lines - present + max(0, len(found) - job.lines)
