"""The checks of the container engine: over real ones where there are some, otherwise over answers on a real socket."""

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ipc.settings import DockerConfig
from launchd.doctor import storage
from launchd.doctor.engine import check_daemon_reload, check_engine
from launchd.doctor.findings import Finding, Verdict
from launchd.doctor.host import Host
from tests.support.engine import TestEngine
from tests.support.http_servers import QuietHandler
from tests.unit.doctor.conftest import MakeHost, only, verdicts

#: What Docker says of itself, as far as it is read.
INFO: Mapping[str, Any] = {
    "ServerVersion": "27.1", "CgroupDriver": "systemd", "CgroupVersion": "2", "DockerRootDir": "/",
    "MemoryLimit": True, "CpuCfsQuota": True, "PidsLimit": True,
}  # fmt: skip


class _Engine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    info: Mapping[str, Any] = INFO
    status = 200


class _Handler(QuietHandler):
    server: _Engine
    disable_nagle_algorithm = False

    def do_GET(self) -> None:  # noqa: N802 - the name in the standard library
        self.answer(self.server.status, json.dumps(self.server.info).encode())


@contextmanager
def answering(status: int = 200, **info: Any) -> Iterator[str]:
    """Run an engine that says this of itself; yields its address."""
    with TemporaryDirectory(prefix="launchd-engine-") as directory, _Engine(f"{directory}/sock", _Handler) as server:
        server.info, server.status = {**INFO, **info}, status
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"unix://{directory}/sock"
        finally:
            server.shutdown()
            thread.join()


def with_containers(host: MakeHost, address: str, root: str = "/") -> Host:
    return host(policy={"resources": ("local-container",)}, settings={"docker": DockerConfig(host=address)}, root=root)


def test_no_containers(host: MakeHost) -> None:
    for check in (check_engine, check_daemon_reload, storage.check_images):
        assert only(check(host())).verdict is Verdict.NOT_APPLICABLE


@pytest.mark.engine
def test_a_real_engine(host: MakeHost, engine: TestEngine) -> None:
    found = list(check_engine(with_containers(host, engine.address)))
    assert found[0].verdict is Verdict.OK
    assert "control group driver" in found[0].sentence
    assert Verdict.NOT_APPLICABLE not in verdicts(storage.check_images(with_containers(host, engine.address)))


def test_an_engine_that_is_away(host: MakeHost, tmp_path: Path) -> None:
    away = with_containers(host, f"unix://{tmp_path}/sock")
    found = only(check_engine(away))
    assert (found.verdict, "does not answer: No such file or directory" in found.sentence) == (Verdict.FAIL, True)
    assert only(storage.check_images(away)).verdict is Verdict.NOT_APPLICABLE


def test_an_engine_that_refuses(host: MakeHost) -> None:
    with answering(500) as address:
        found = only(check_engine(with_containers(host, address)))
    assert (found.verdict, "HTTP 500" in found.sentence) == (Verdict.FAIL, True)


def test_an_engine_without_limits(host: MakeHost) -> None:
    with answering(CgroupDriver="none", MemoryLimit=False) as address:
        found = list(check_engine(with_containers(host, address)))
    assert verdicts(found) == [Verdict.OK, Verdict.WARN]
    assert "no limits of memory (control group driver none)" in found[1].sentence


@pytest.fixture
def gpu_host(tmp_path: Path) -> Path:
    """The root of a host with NVIDIA's driver."""
    (tmp_path / "root/proc/driver/nvidia").mkdir(parents=True)
    return tmp_path / "root"


def reload_of(host: MakeHost, root: Path, **info: Any) -> Finding:
    with answering(**info) as address:
        return only(check_daemon_reload(with_containers(host, address, str(root))))


def test_a_reload_takes_gpus_away(host: MakeHost, gpu_host: Path) -> None:
    found = reload_of(host, gpu_host)
    assert (found.verdict, "nvidia-container-toolkit#48" in found.meaning) == (Verdict.WARN, True)


def test_a_reload_is_harmless(host: MakeHost, gpu_host: Path, tmp_path: Path) -> None:
    assert reload_of(host, gpu_host, CgroupDriver="cgroupfs").verdict is Verdict.OK
    assert reload_of(host, gpu_host, CDISpecDirs=["/etc/cdi"]).verdict is Verdict.OK
    assert reload_of(host, tmp_path).verdict is Verdict.NOT_APPLICABLE
    (gpu_host / "dev/char").mkdir(parents=True)
    (gpu_host / "dev/char/195:255").touch()
    assert reload_of(host, gpu_host).verdict is Verdict.OK
