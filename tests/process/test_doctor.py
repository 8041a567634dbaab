"""`launchd doctor` as a command: over a real server, with what hangs, and with what cannot be read."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.lossy_disk.disk import LossyDisk
from benchmarks.faults.requirements import FUSE
from tests.support.processes import command_line, list_of
from tests.support.server import RunningServer
from tests.support.small_disk import small_disk

HEAD = "queues: [default]\nlaunchd:\n  policy: {allow_root_jobs: true}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "launch-config.yaml"


def directories(place: Path, state: Path | None = None) -> str:
    """Lines for directories of the agent's own."""
    return f"  state_dir: {state or place / 's'}\n  runtime_dir: {place}/r\n"


def doctor(file: Path, *options: str, **environ: str) -> tuple[int, list[dict[str, str]]]:
    """Return the exit code and the findings."""
    done = subprocess.run(
        [sys.executable, "-m", "launchd", "doctor", "--json", "-c", str(file), *options],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        env={**os.environ, **environ},
    )
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0)
    return done.returncode, report["checks"]


def found(checks: list[dict[str, str]], name: str) -> dict[str, str]:
    return next(one for one in checks if one["check"] == name)


def test_a_host_in_order(file: Path, tmp_path: Path, queue_server: RunningServer) -> None:
    file.write_text(f"{HEAD}  base_url: {queue_server.url}\n{directories(tmp_path)}")
    with queue_server.api() as api:
        entity = api.run("{ viewer { entity } }")["viewer"]["entity"]
    code, checks = doctor(file, WANDB_API_KEY=queue_server.key, WANDB_ENTITY=entity)
    assert found(checks, "configuration")["verdict"] == "ok"
    assert found(checks, "queue server")["verdict"] == "ok"
    assert found(checks, "clock")["verdict"] == "ok"
    assert all(one["meaning"] and one["fix"] for one in checks if one["verdict"] in ("warn", "fail"))
    assert code == int(any(one["verdict"] == "fail" for one in checks))


def test_a_configuration_that_cannot_be_used(file: Path) -> None:
    file.write_text(f"{HEAD}  jobz: {{}}\n")
    code, checks = doctor(file)
    assert code == 1
    assert "there is no such key" in found(checks, "configuration")["sentence"]
    assert found(checks, "queue server")["verdict"] == "not applicable"
    assert found(checks, "temporary directory")["verdict"] in ("ok", "warn")


@contextmanager
def silent_server() -> Iterator[str]:
    """Accepts connections, and answers none."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_hangs(file: Path, tmp_path: Path) -> None:
    with silent_server() as url:
        file.write_text(f"{HEAD}  base_url: {url}\n{directories(tmp_path)}")
        began = time.monotonic()
        code, checks = doctor(file, WANDB_API_KEY="local-key")
        assert time.monotonic() - began < 30
    assert (code, found(checks, "queue server")["verdict"]) == (1, "fail")
    assert "did not answer" in found(checks, "queue server")["sentence"]


def test_an_engine_that_hangs(file: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "e"))
        listening.listen()
        file.write_text(
            f"queues: [default]\nlaunchd:\n  policy: {{allow_root_jobs: true, resources: [local-container]}}\n"
            f"  docker: {{host: 'unix://{tmp_path}/e'}}\n  base_url: http://127.0.0.1:9\n"
            f"{directories(tmp_path)}"
        )
        _, checks = doctor(file, WANDB_API_KEY="local-key")
    assert found(checks, "container engine")["verdict"] == "fail"
    assert "does not answer" in found(checks, "container engine")["sentence"]


@pytest.mark.root
@pytest.mark.skipif(not os.access(FUSE, os.R_OK | os.W_OK), reason=f"needs {FUSE}")
def test_a_file_system_that_hangs(file: Path, tmp_path: Path) -> None:
    """As a network file system whose server is away: each access waits in the kernel."""
    disk = LossyDisk(tmp_path / "disk", mebibytes=16)
    try:
        (disk.mount_point / "state").mkdir()
        lines = directories(tmp_path, disk.mount_point / "state")
        file.write_text(f"{HEAD}  base_url: http://127.0.0.1:9\n{lines}")
        disk.cut(1)
        began = time.monotonic()
        code, checks = doctor(file, WANDB_API_KEY="local-key")
        assert time.monotonic() - began < 30
    finally:
        disk.end()
        disk.close()
    seen = found(checks, "state directory")
    assert (code, seen["verdict"]) == (1, "fail")
    assert "no answer within 10 s" in seen["sentence"]
    assert "network file system" in seen["meaning"]
    assert list_of(lambda process: "launchd doctor" in command_line(process)) == []


@pytest.mark.root
def test_a_disk_that_is_full(file: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        file.write_text(f"{HEAD}  base_url: http://127.0.0.1:9\n{directories(tmp_path, disk)}")
        (disk / "filler").write_bytes(bytes(3 << 20))
        _, checks = doctor(file, WANDB_API_KEY="local-key")
    sentences = [one["sentence"] for one in checks if one["check"] == "state directory" and one["verdict"] == "fail"]
    assert any("are free" in one for one in sentences)


def test_a_check_that_never_returns_is_ended_with_all_that_it_started() -> None:
    program = "\n".join(
        (
            "import subprocess, sys",
            "from launchd.doctor.deadlines import within",
            "def hang():",
            "    subprocess.run(['sleep', '4242'])",
            "    return b''",
            "print(within([(hang, 0.5), (lambda: b'there', 5.0)]))",
        )
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[None, b'there']\n"
    assert list_of(lambda process: command_line(process) == "sleep 4242") == []
