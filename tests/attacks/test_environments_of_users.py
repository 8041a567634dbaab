"""Environments on a host whose agent is root and whose jobs have users of their own, from the push to the end."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.conftest import POLICY
from tests.support.git_origin import Origin
from tests.support.packages import package_index, project_files, write_files, write_wheel
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PRINT = "import {0}, os, sys; print({0}.WHO, os.getuid(), os.access({0}.__file__, os.W_OK), sys.prefix)"


@pytest.fixture
def host(open_directory: Path, account: Account) -> Iterator[Testbed]:
    """A host that builds environments; its agent has not been started."""
    settings = {"policy": POLICY | {"allow_venv": True}, "venv": {"python": "/usr/bin/python3"}}
    with make_testbed(open_directory, account, launchd=settings) as opened:
        yield opened


def run(host: Testbed, origin: Origin, files: dict[str, str], module: str) -> list[str]:
    """Run a job with ``files`` that says whose ``module`` it has; return its words."""
    shutil.rmtree(origin.path / "lib", ignore_errors=True)
    write_files(origin.path, files)
    # No two commits are the same.
    origin.commit(f"{PRINT.format(module)}  # {time.monotonic_ns()}")
    item = host.push("python", "main.py", git={"repo": f"file://{origin.path}", "version": "main"})
    [over] = host.wait_over([item], timeout=200)
    assert over.state == "FINISHED", over
    return Path(host.job(item)["log_path"]).read_text().split()


def test_two_jobs_share_wheels_and_nothing_that_was_built(host: Testbed, open_directory: Path) -> None:
    origin = Origin(open_directory / "origin")
    log = open_directory / "builders"
    log.touch()
    log.chmod(0o666)
    packages = open_directory / "packages"
    packages.mkdir()
    write_wheel(packages, "tiny", "1", {"tiny.py": "WHO = 'tiny'\n"})
    host.start_agent()

    with package_index(packages) as index:
        wheels = [run(host, origin, {"requirements.txt": f"-i {index.simple}\ntiny\n"}, "tiny") for _ in range(2)]
    built = [run(host, origin, {"requirements.txt": "./lib\n", **lib(who, log)}, "mylib") for who in ("A", "B")]

    assert [(who, writable) for who, _, writable, _ in wheels] == [("tiny", "False"), ("tiny", "False")]
    assert len({uid for _, uid, _, _ in wheels}) == 2
    assert len({place for *_, place in wheels}) == 1
    assert [who for who, *_ in built] == ["A", "B"]
    assert not any(Path(place).exists() for *_, place in built)


def lib(who: str, log: Path) -> dict[str, str]:
    files = project_files("mylib", "1.0", f"WHO = {who!r}\n", log)
    return {f"lib/{name}": text for name, text in files.items()}
