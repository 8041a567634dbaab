"""Runs the examples through a queue, an agent and its workers, prints their progress and checks their outcomes.

All its processes run over a temporary directory and are ended. The exit code is 0 only if all was as expected.
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
#: Time limits. That of the jobs leaves time to download scikit-learn.
START_SECONDS, JOBS_SECONDS, STOP_SECONDS = 30.0, 300.0, 30.0
POLL_SECONDS, CLEANUP_SECONDS = 0.3, 2.0
#: After this time without a change of phase, the installer's last message is shown.
QUIET_SECONDS = 4.0
WIDTH = 110
TERMINAL_PHASES = ("finished", "failed", "stopped", "preempted")
STUBBORN = "stubborn"
#: Number of lines shown from the end of an output.
SHOWN_LINES = 4


@dataclass(frozen=True)
class Example:
    """A job to launch, with its expected outcome, exit code, and a text in its output."""

    name: str
    arguments: Sequence[str]
    outcome: str
    exit_code: int | None
    text: str


class Failure(Exception):
    """The demonstration cannot go on."""


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
    """The command line, over a directory of its own."""

    def __init__(self, directory: Path) -> None:
        # Settings of the user for W&B must have no effect.
        others = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "LAUNCHD_"))}
        self._environment = others | {"LAUNCHD_STATE_DIR": str(directory), "COLUMNS": str(WIDTH)}
        self._directory = directory

    def run(self, *arguments: str) -> str:
        """Return the output of a command."""
        command = _command(arguments)
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise Failure(
                f"`launchd {' '.join(arguments)}` ended with exit code {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    def show(self, *arguments: str) -> str:
        """Print a command and its output, as in a terminal."""
        output = self.run(*arguments)
        print(f"$ launchd {' '.join(_quoted(argument) for argument in arguments)}\n{output}", flush=True)
        return output

    def status(self) -> Mapping[str, Any]:
        """Return the agent's status."""
        status: dict[str, Any] = json.loads(self.run("status", "--json"))
        return status

    def jobs(self) -> dict[str, Mapping[str, Any]]:
        """Return all jobs, active and ended, by their items."""
        status = self.status()
        return {job["item_id"]: job for job in [*status["recent"], *status["jobs"]]}

    @contextmanager
    def up(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a queue server and an agent."""
        arguments = ("up", "--max-jobs", "4")
        print(f"$ launchd {' '.join(arguments)} &", flush=True)
        with (self._directory / "up.log").open("wb") as log:
            process = subprocess.Popen(_command(arguments), env=self._environment, stdout=log, stderr=log)
        try:
            _wait_until(lambda: self._is_up(process), START_SECONDS, "server and agent are up")
            yield process
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise Failure(f"`launchd up` ended:\n{(self._directory / 'up.log').read_text()}")
        try:
            return bool(self.status()["server"]["reachable"])
        except Failure:
            return False


class Follower:
    """Follows the jobs to their end, and prints a line per change."""

    def __init__(self, launchd: Launchd, launched: Mapping[str, Example]) -> None:
        self._launchd = launchd
        self._launched = launched
        self._phases: dict[str, str] = {}
        self._started = self._printed_at = time.monotonic()
        self._is_shown = False
        self._is_stopped = False

    def until_over(self) -> dict[str, Mapping[str, Any]]:
        """Return all jobs once they have ended."""
        _wait_until(self._all_are_over, JOBS_SECONDS, "all jobs are over")
        return self._launchd.jobs()

    def _all_are_over(self) -> bool:
        jobs = self._launchd.jobs()
        for item, example in self._launched.items():
            if item in jobs:
                self._update(item, example, jobs[item])
        return all(self._phases.get(item) in TERMINAL_PHASES for item in self._launched)

    def _update(self, item: str, example: Example, job: Mapping[str, Any]) -> None:
        phase = job["phase"]
        if self._phases.get(item) != phase:
            self._phases[item] = phase
            self._print(example, phase)
        elif phase == "building" and time.monotonic() - self._printed_at > QUIET_SECONDS:
            self._print(example, f"{phase}: {job['message']}")
        if phase == "building" and not self._is_shown:
            self._is_shown = True
            print()
            self._launchd.show("status")
        if example.name == STUBBORN and phase == "running" and not self._is_stopped:
            self._stop(item, example)

    def _print(self, example: Example, text: str) -> None:
        self._printed_at = time.monotonic()
        print(f"{self._printed_at - self._started:6.1f} s  {example.name:14} {text}"[:WIDTH], flush=True)

    def _stop(self, item: str, example: Example) -> None:
        if example.text in self._launchd.run("logs", item):
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
        problems += _kill_remaining(Path(name))
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
        jobs = Follower(launchd, launched).until_over()
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
    if example.text not in output:
        yield f"{example.name} does not print {example.text!r}"


def _kill_remaining(directory: Path) -> list[str]:
    """Kill every process of the demonstration that is left; returns a sentence about each, for there should be none."""
    found = [process for process in psutil.process_iter() if _title_in(process, directory)]
    psutil.wait_procs(found, timeout=CLEANUP_SECONDS)
    titles = {process: _title_in(process, directory) for process in found}
    remaining = {process: title for process, title in titles.items() if title}
    for process in remaining:
        process.kill()
    return [f"process {process.pid} was left behind: {title}" for process, title in remaining.items()]


def _title_in(process: psutil.Process, directory: Path) -> str | None:
    """Return the title of a process that has a path below ``directory``, else ``None``."""
    try:
        title = " ".join(process.cmdline()).strip()
        # A process that has set its title has lost its environment; it still holds files.
        files = [file.path for file in process.open_files()]
        texts = [title, process.cwd(), *process.environ().values(), *files]
    except psutil.Error:
        return None
    is_inside = process.pid != os.getpid() and any(str(directory) in text for text in texts)
    return title if is_inside else None


def _wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"it takes more than {seconds:g} s until {what}")
        time.sleep(POLL_SECONDS)


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "launchd", *arguments]


def _quoted(argument: str) -> str:
    return f"'{argument}'" if " " in argument else argument


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    sys.exit(main())
