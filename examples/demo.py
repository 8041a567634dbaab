"""Shows real jobs on their way through a queue, an agent and its workers, and checks that each ends as it should.

Everything it starts lives in a temporary directory and is gone at the end. Exit code 0 only if all was as expected.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

EXAMPLES = Path("examples")
#: How long things may take, in seconds. The jobs' limit leaves time to download scikit-learn.
START_SECONDS, JOBS_SECONDS, LEAVE_SECONDS = 30.0, 300.0, 30.0
LOOK_SECONDS, LAST_BREATH_SECONDS = 0.3, 2.0
#: After so long without news the installer's latest word is shown.
PATIENCE_SECONDS = 4.0
WIDTH = 110
OVER = ("finished", "failed", "stopped", "preempted")
STUBBORN = "stubborn"
#: So many lines from the end of an output are shown.
SHOWN_LINES = 4


@dataclass(frozen=True)
class Example:
    """A job to launch, and what is to come of it: its outcome, its exit code, and a text in its output."""

    name: str
    arguments: Sequence[str]
    outcome: str
    exit_code: int | None
    says: str


class Failure(Exception):
    """The demonstration did not go as it should."""


def examples(repository: str) -> list[Example]:
    """Return the jobs; ``repository`` is the URI of a git repository that has the tag v1."""
    training = [str(EXAMPLES / "train-sklearn"), "--config", '{"epochs": 12}']
    return [
        Example("hello", [str(EXAMPLES / "hello")], "finished", 0, "Hello from"),
        Example("train-sklearn", training, "finished", 0, "wrote model.joblib"),
        Example("git-job", [repository, "--git-version", "v1"], "finished", 0, "version 1: pi is about"),
        Example("fails", [str(EXAMPLES / "fails")], "failed", 3, "is not on this host"),
        Example(STUBBORN, [str(EXAMPLES / STUBBORN)], "stopped", None, "ignore SIGTERM"),
    ]


class Launchd:
    """The command line, over a directory of our own."""

    def __init__(self, directory: Path) -> None:
        # What the caller has set up for W&B is not meant here.
        others = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "LAUNCHD_"))}
        self._environment = others | {"LAUNCHD_STATE_DIR": str(directory), "COLUMNS": str(WIDTH)}
        self._directory = directory

    def run(self, *words: str) -> str:
        """Return what a command prints."""
        command = _command(words)
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise Failure(f"`launchd {' '.join(words)}` ended with exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def show(self, *words: str) -> str:
        """Print a command and what it prints, as in a terminal."""
        output = self.run(*words)
        print(f"$ launchd {' '.join(_quoted(word) for word in words)}\n{output}", flush=True)
        return output

    def status(self) -> Mapping[str, Any]:
        """Return the agent's status."""
        status: dict[str, Any] = json.loads(self.run("status", "--json"))
        return status

    def jobs(self) -> dict[str, Mapping[str, Any]]:
        """Return all jobs, over or not, by their items."""
        status = self.status()
        return {job["item_id"]: job for job in [*status["recent"], *status["jobs"]]}

    @contextmanager
    def up(self) -> Iterator[subprocess.Popen[bytes]]:
        """Keep a queue server and an agent running."""
        words = ("up", "--max-jobs", "4")
        print(f"$ launchd {' '.join(words)} &", flush=True)
        with (self._directory / "up.log").open("wb") as log:
            process = subprocess.Popen(_command(words), env=self._environment, stdout=log, stderr=log)
        try:
            _wait_until(lambda: self._is_up(process), START_SECONDS, "server and agent are up")
            yield process
        finally:
            process.terminate()
            process.wait(LEAVE_SECONDS)

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise Failure(f"`launchd up` ended:\n{(self._directory / 'up.log').read_text()}")
        try:
            return bool(self.status()["server"]["reachable"])
        except Failure:
            return False


class Watch:
    """Follows the jobs to their end, printing a line per change."""

    def __init__(self, launchd: Launchd, launched: Mapping[str, Example]) -> None:
        self._launchd = launchd
        self._launched = launched
        self._phases: dict[str, str] = {}
        self._started = self._said_at = time.monotonic()
        self._is_shown = False
        self._is_stopped = False

    def until_over(self) -> dict[str, Mapping[str, Any]]:
        """Return all jobs once they are over."""
        _wait_until(self._all_are_over, JOBS_SECONDS, "all jobs are over")
        return self._launchd.jobs()

    def _all_are_over(self) -> bool:
        jobs = self._launchd.jobs()
        for item, example in self._launched.items():
            if item in jobs:
                self._note(item, example, jobs[item])
        return all(self._phases.get(item) in OVER for item in self._launched)

    def _note(self, item: str, example: Example, job: Mapping[str, Any]) -> None:
        phase = job["phase"]
        if self._phases.get(item) != phase:
            self._phases[item] = phase
            self._say(example, phase)
        elif phase == "building" and time.monotonic() - self._said_at > PATIENCE_SECONDS:
            self._say(example, f"{phase}: {job['message']}")
        if phase == "building" and not self._is_shown:
            self._is_shown = True
            print()
            self._launchd.show("status")
        if example.name == STUBBORN and phase == "running" and not self._is_stopped:
            self._stop(item, example)

    def _say(self, example: Example, what: str) -> None:
        self._said_at = time.monotonic()
        print(f"{self._said_at - self._started:6.1f} s  {example.name:14} {what}"[:WIDTH], flush=True)

    def _stop(self, item: str, example: Example) -> None:
        if example.says in self._launchd.run("logs", item):
            self._is_stopped = True
            print()
            self._launchd.show("stop", item, "--reason", "the demonstration goes on")


def main() -> int:
    """Run the demonstration; returns its exit code."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="launchd-demo-") as name:
        try:
            problems = _demonstrate(Path(name))
        except (Failure, subprocess.SubprocessError) as error:
            problems = [str(error)]
        problems += _end_what_is_left(Path(name))
    for problem in problems:
        print(f"NOT AS EXPECTED: {problem}", file=sys.stderr)
    if not problems:
        print(f"All as expected, and nothing left behind, after {time.monotonic() - started:.0f} s.")
    return 1 if problems else 0


def _demonstrate(directory: Path) -> list[str]:
    repository = _make_repository(directory / "repository")
    launchd = Launchd(directory)
    with launchd.up() as process:
        print()
        launched = {_launch(launchd, example): example for example in examples(repository)}
        jobs = Watch(launchd, launched).until_over()
        print()
        outputs = {item: _show_output(launchd, item, example) for item, example in launched.items()}
        launchd.show("status")
    problems = [p for item, example in launched.items() for p in _problems(example, jobs[item], outputs[item])]
    if process.returncode != 0:
        problems.append(f"`launchd up` ended with exit code {process.returncode}")
    return problems


def _make_repository(directory: Path) -> str:
    script = EXAMPLES / "git-job" / "make-repository.sh"
    done = subprocess.run([script, directory], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"the git repository of the demonstration could not be made: {done.stderr.strip()}")
    return done.stdout.strip()


def _launch(launchd: Launchd, example: Example) -> str:
    return launchd.show("launch", *example.arguments, "--name", example.name, "--async").strip()


def _show_output(launchd: Launchd, item: str, example: Example) -> str:
    output = launchd.run("logs", item)
    lines = output.splitlines()
    print(f"$ launchd logs {item}    # {example.name}")
    print("\n".join(["...", *lines[-SHOWN_LINES:]] if len(lines) > SHOWN_LINES else lines), end="\n\n", flush=True)
    return output


def _problems(example: Example, job: Mapping[str, Any], output: str) -> Iterator[str]:
    if job["phase"] != example.outcome:
        yield f"{example.name} {job['phase']} and should have {example.outcome}: {job['message']}"
    if example.exit_code is not None and job["exit_code"] != example.exit_code:
        yield f"{example.name} ended with exit code {job['exit_code']} and not {example.exit_code}"
    if example.says not in output:
        yield f"{example.name} does not say {example.says!r} in its output"


def _end_what_is_left(directory: Path) -> list[str]:
    """End every process that belongs to the demonstration; returns a sentence about each, for there should be none."""
    there = [process for process in psutil.process_iter() if _title_if_ours(process, directory)]
    psutil.wait_procs(there, timeout=LAST_BREATH_SECONDS)
    titles = {process: _title_if_ours(process, directory) for process in there}
    left = {process: title for process, title in titles.items() if title}
    for process in left:
        process.kill()
    return [f"process {process.pid} was left behind: {title}" for process, title in left.items()]


def _title_if_ours(process: psutil.Process, directory: Path) -> str | None:
    """Return what the process calls itself if anything of it points into ``directory``."""
    try:
        title = " ".join(process.cmdline()).strip()
        # A process that has set its title has lost its environment; it still holds files.
        files = [file.path for file in process.open_files()]
        places = [title, process.cwd(), *process.environ().values(), *files]
    except psutil.Error:
        return None
    is_ours = process.pid != os.getpid() and any(str(directory) in place for place in places)
    return title if is_ours else None


def _wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"it takes more than {seconds:g} s until {what}")
        time.sleep(LOOK_SECONDS)


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "launchd", *words]


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    sys.exit(main())
