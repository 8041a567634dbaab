"""Containers beside the engine's own command line: their start, their stop and their output, in alternating rounds."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from benchmarks.table import Figure, milliseconds, percentile
from launchd.agent.journal_reader import read_job
from tests.support.engine import BASE_IMAGE, TestEngine, running_engine
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

STARTS, STOPS, LINES = 50, 10, 200

#: What a job that ignores its stop has left, in seconds.
GRACE_SECONDS = 1.0

#: Between two lines, in seconds: what comes in bursts says little about one.
LINE_PAUSE_SECONDS = 0.02


def measure(directory: Path, _jobs: int) -> list[Figure]:
    """Return the times of starts, stops and lines of output; needs root, for an engine of its own."""
    shared = directory / "shared"
    shared.mkdir(parents=True)
    with running_engine() as engine, make_testbed(directory, max_jobs=4, launchd=_settings(engine, shared)) as testbed:
        testbed.start_agent()
        bed = _Bed(engine, testbed, shared)
        return [*_starts(bed), *_stops(bed), *_lines(bed)]


def _settings(engine: TestEngine, shared: Path) -> dict[str, Any]:
    return {
        "docker": {"host": engine.address},
        "policy": {"resources": ["local-container"], "containers": {"mounts": [f"{shared}:rw"]}},
        "jobs": {"stop_grace_seconds": GRACE_SECONDS},
        "supervision": {},
    }


class _Bed:
    """An engine, an agent, and a directory that containers write to."""

    def __init__(self, engine: TestEngine, testbed: Testbed, shared: Path) -> None:
        self.engine = engine
        self.testbed = testbed
        self.shared = shared
        self._docker = shutil.which("docker") or "docker"

    def push(self, script: str) -> str:
        """Push a job with the shell script."""
        return self.testbed.push(
            *("sh", "-c", script),
            resource="local-container",
            docker={"docker_image": BASE_IMAGE},
            resource_args={"local-container": {"volume": f"{self.shared}:/shared"}},
        )

    def docker(self, *words: str) -> list[str]:
        """Return a command line of the engine's own client."""
        return [self._docker, f"--host={self.engine.address}", *words]

    def docker_run(self, script: str, *options: str) -> list[str]:
        """Return the command line that runs the script in a container as a job is run."""
        volume = f"--volume={self.shared}:/shared"
        return self.docker("run", "--rm", "--init", volume, *options, BASE_IMAGE, "sh", "-c", script)


# -- starts


def _starts(bed: _Bed) -> list[Figure]:
    """Return the time from the lease of a job to its first instruction, which makes a file."""
    ours, plain = [], []
    for number in range(STARTS):
        plain.append(_plain_start(bed, f"plain{number}"))
        ours.append(_own_start(bed, f"own{number}"))
    at_median = percentile(ours, 50) - percentile(plain, 50)
    at_99 = percentile(ours, 99) - percentile(plain, 99)
    measured = f"{milliseconds(ours)}: overhead {at_median * 1000:.1f} and {at_99 * 1000:.1f} ms"
    return [
        Figure(
            "lease → first instruction in the container",
            measured,
            "overhead p50 ≤ 40 ms, p99 ≤ 120 ms",
            f"docker run: {milliseconds(plain)}",
            at_median <= 0.040 and at_99 <= 0.120,
        )
    ]


def _plain_start(bed: _Bed, name: str) -> float:
    began = time.time()
    subprocess.run(bed.docker_run(f": > /shared/{name}"), check=True, stdout=subprocess.DEVNULL)
    return (bed.shared / name).stat().st_mtime - began


def _own_start(bed: _Bed, name: str) -> float:
    item = bed.push(f": > /shared/{name}")
    bed.testbed.wait_over([item])
    job = read_job(bed.testbed.state_dir, item)
    assert job is not None
    return (bed.shared / name).stat().st_mtime - job.claimed_at


# -- stops


IGNORING = "trap '' TERM; : > /shared/{name}; while :; do sleep 1; done"


def _stops(bed: _Bed) -> list[Figure]:
    """Return the time from the stop of a job that ignores it to the end of its container."""
    ours, plain = [], []
    for number in range(STOPS):
        plain.append(_plain_stop(bed, f"stopped{number}"))
        ours.append(_own_stop(bed, f"ended{number}"))
    return [
        Figure(
            f"stop → container gone, grace {GRACE_SECONDS:g} s",
            milliseconds(ours),
            "p99 ≤ grace + 1 s",
            f"docker stop: {milliseconds(plain)}",
            percentile(ours, 99) <= GRACE_SECONDS + 1,
        )
    ]


def _plain_stop(bed: _Bed, name: str) -> float:
    subprocess.run(bed.docker_run(IGNORING.format(name=name), "--detach", f"--name={name}"), check=True)
    wait_until((bed.shared / name).exists, what="the container runs")
    began = time.monotonic()
    subprocess.run(bed.docker("stop", f"--time={GRACE_SECONDS:.0f}", name), check=True, stdout=subprocess.DEVNULL)
    _wait_gone(bed, name)
    return time.monotonic() - began


def _own_stop(bed: _Bed, name: str) -> float:
    item = bed.push(IGNORING.format(name=name))
    wait_until(lambda: (bed.shared / name).exists() and bed.testbed.phase(item) == "running", what="the job runs")
    workload = str(bed.testbed.job(item)["workload_name"])
    began = time.monotonic()
    bed.testbed.ask(command="stop", item=item)
    _wait_gone(bed, workload)
    took = time.monotonic() - began
    bed.testbed.wait_over([item])
    return took


def _wait_gone(bed: _Bed, name: str) -> None:
    with bed.engine.client() as client:
        wait_until(lambda: not client.containers(all=True, filters={"name": name}), what=f"{name} is gone")


# -- output


def _lines(bed: _Bed) -> list[Figure]:
    """Return the time from a line of a job to the one who follows its output, with both commands at one container."""
    pipe = bed.shared / "pipe"
    os.mkfifo(pipe)
    item = bed.push("exec cat /shared/pipe")
    with pipe.open("wb", buffering=0) as lines:
        wait_until(lambda: bed.testbed.phase(item) == "running", what="the job runs")
        workload = str(bed.testbed.job(item)["workload_name"])
        own = [sys.executable, "-m", "launchd", "logs", "-f", "-c", str(bed.testbed.config_path), item]
        with _Follower(own) as ours, _Follower(bed.docker("logs", "--follow", workload)) as plain:
            written = _write(lines.write, lambda text: text in ours.seen and text in plain.seen)
    bed.testbed.wait_over([item])
    own_times = [ours.seen[text] - at for text, at in written.items()]
    plain_times = [plain.seen[text] - at for text, at in written.items()]
    return [
        Figure(
            "line of a job → launchd logs -f",
            milliseconds(own_times),
            "p99 ≤ 200 ms",
            f"docker logs -f: {milliseconds(plain_times)}",
            percentile(own_times, 99) <= 0.200,
        )
    ]


def _write(write: Callable[[bytes], Any], is_seen: Callable[[str], bool]) -> dict[str, float]:
    """Write lines once both followers have the first one; returns when each was written."""
    written = {}
    write(b"first\n")
    wait_until(lambda: is_seen("first"), 20, "the first line came")
    for number in range(LINES):
        text = f"line {number}"
        written[text] = time.monotonic()
        write(f"{text}\n".encode())
        time.sleep(LINE_PAUSE_SECONDS)
    wait_until(lambda: is_seen(f"line {LINES - 1}"), 20, "the last line came")
    return written


class _Follower:
    """A command that prints lines; ``seen`` is when each one came."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self.seen: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.seen.setdefault(line.strip(), time.monotonic())

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
