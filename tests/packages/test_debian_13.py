"""The deb packages for Debian 13, whose Python is 3.13: built in a tree of it, installed on a clean machine of it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packages.conftest import PACKAGING, ROOT, Built, download_needs, first_commands
from tests.packages.jobs import AGENT, SERVER, output
from tests.packages.machine import machine_of
from tests.support.parts import missing_part

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(2400)]

HOME = Path(os.environ.get("DEBIAN_13_TEST_HOME", "/var/cache/launchd-debian-13"))

#: What the packages' own tree lacks of what builds them.
BUILDS = "build-essential,debhelper,python3-venv,ca-certificates"

#: This machine's certificates, for it may have some of its own.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

#: In the tree: the source, the Python packages of the lock files (kept between runs), the result.
SOURCE, WHEELS, RESULT = "/srv/source", "/srv/wheels", "/srv/result"


def test_the_packages_of_debian_13_serve_on_a_clean_machine(tmp_path: Path) -> None:
    builder, clean = tree_of("build", BUILDS), tree_of("clean")
    built = build_in(builder, tmp_path)
    depends = subprocess.check_output(["dpkg-deb", "--field", built.debs[0], "Depends"], text=True)
    assert "python3 (>= 3.13), python3 (<< 3.14)" in depends
    download_needs(clean, built)

    with machine_of(clean, tmp_path / "clean") as machine:
        machine.install(built.debs)
        said = [machine.says(command) for command in first_commands()[1:]]

        assert machine.says("grep ^VERSION_ID= /etc/os-release") == 'VERSION_ID="13"'
        assert machine.says("/usr/lib/launch-agent/bin/python --version").startswith("Python 3.13.")
        assert said[-1].endswith("finished")
        assert output(machine, said[-1].split()[1]) == ["hello"]
        assert [machine.property(unit, "ActiveState") for unit in (AGENT, SERVER)] == ["active", "active"]
        machine.run("DEBIAN_FRONTEND=noninteractive apt-get purge -y 'launch-agent*'")
        assert not (machine.tree / "usr/lib/launch-agent").exists()


def tree_of(name: str, extra: str = "") -> Path:
    """Return the tree of a Debian 13 with more packages, made once."""
    made = subprocess.run(
        [ROOT / "tests" / "parts" / "systemd" / "build.sh"],
        env={**os.environ, "SUITE": "trixie", "EXTRA": extra, "SYSTEMD_TEST_HOME": str(HOME / name)},
        check=False,
    )
    if made.returncode:
        missing_part("A tree of Debian 13 cannot be made here.")
    return HOME / name / "root"


def build_in(builder: Path, directory: Path) -> Built:
    """Build the packages with the Python of a tree."""
    for place in (SOURCE, RESULT):
        shutil.rmtree(builder / place[1:], ignore_errors=True)
    source = builder / SOURCE[1:]
    subprocess.run([PACKAGING / "source.sh", source], check=True)
    shutil.copy(CERTIFICATES, builder / CERTIFICATES.relative_to("/"))
    shutil.copy("/etc/resolv.conf", builder / "etc/resolv.conf")
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PIP_CERT": str(CERTIFICATES),
        "SOURCE_DATE_EPOCH": "1764374400",
        "DPKG_DEB_COMPRESSOR_LEVEL": "1",
    }
    commands = f"cd {SOURCE} && packaging/fetch.sh {WHEELS} && packaging/deb/build.sh {RESULT} {WHEELS}"
    done = subprocess.run(
        ["chroot", builder, "bash", "-c", commands], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    shutil.copytree(builder / RESULT[1:], directory / "debs")
    return Built(directory / "debs")
