"""The packages as they are built from this tree, and machines to install them in."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from launchd import __version__
from tests.packages.machine import BASE, Machine, copy_tree, machine_of, running
from tests.support.parts import missing_part

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"

#: Where the Python packages of the lock files are kept between runs.
WHEELS = Path(os.environ.get("LAUNCHD_WHEELS", "/var/cache/launchd-wheels"))

#: Debian's package of each program that builds or checks.
PROGRAMS = {
    "cpio": "cpio",
    "dh": "debhelper",
    "dpkg-buildpackage": "dpkg-dev",
    "lintian": "lintian",
    "mmdebstrap": "mmdebstrap",
    "rpmbuild": "rpm",
    "rpmlint": "rpmlint",
    "systemd-nspawn": "systemd-container",
}

#: A clean Debian has no systemd for each user.
USER_MANAGER = ("libpam-systemd", "dbus-user-session")

VERSION, NEXT_VERSION = __version__, f"{__version__}+next"


class Built(msgspec.Struct, frozen=True):
    """Packages of one version."""

    directory: Path

    @property
    def debs(self) -> tuple[Path, ...]:
        return tuple(sorted(self.directory.glob("*.deb")))

    @property
    def rpms(self) -> tuple[Path, ...]:
        return tuple(sorted(self.directory.glob("*.rpm")))


@pytest.fixture(scope="session")
def wheels() -> Path:
    """The Python packages of the lock files; skips where packages cannot be built."""
    missing = sorted(package for program, package in PROGRAMS.items() if shutil.which(program) is None)
    if missing:
        missing_part(f"Packages cannot be built here (Debian: apt-get install {' '.join(missing)})")
    subprocess.run([PACKAGING / "fetch.sh", WHEELS], check=True)
    return WHEELS


def build(kind: str, directory: Path, wheels: Path) -> Built:
    """Build packages of a kind, ``deb`` or ``rpm``."""
    directory.mkdir(exist_ok=True)
    done = subprocess.run(
        [PACKAGING / kind / "build.sh", directory, wheels, VERSION],
        env={**os.environ, "DPKG_DEB_COMPRESSOR_LEVEL": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return Built(directory)


@pytest.fixture(scope="session")
def built(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The deb packages."""
    return build("deb", tmp_path_factory.mktemp("deb"), wheels)


@pytest.fixture(scope="session")
def built_rpm(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The rpm packages."""
    return build("rpm", tmp_path_factory.mktemp("rpm"), wheels)


@pytest.fixture(scope="session")
def built_next(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Those of the next version: the same files but for the version, as a build takes a minute."""
    directory, scratch = tmp_path_factory.mktemp("deb-next"), tmp_path_factory.mktemp("unpacked")
    for deb in built.debs:
        tree = scratch / deb.stem
        subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
        for file in (
            tree / "DEBIAN" / "control",
            *tree.glob("usr/lib/launch-agent/lib/*/site-packages/launchd/__init__.py"),
        ):
            file.write_text(file.read_text().replace(VERSION, NEXT_VERSION))
        target = directory / deb.name.replace(VERSION, NEXT_VERSION)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, target], check=True)
    return Built(directory)


@pytest.fixture(scope="session")
def debian() -> Path:
    """The tree of a clean Debian 12; it is copied and never booted itself."""
    subprocess.run([ROOT / "tests" / "parts" / "systemd" / "build.sh"], check=True)
    return BASE


@pytest.fixture(scope="session")
def base(debian: Path, built: Built) -> Path:
    """That tree, with the packages at hand that the built ones depend on, rpm, and what makes a user's own systemd."""
    download_needs(debian, built, "rpm", *USER_MANAGER)
    return debian


def download_needs(tree: Path, built: Built, *more: str) -> None:
    """Have the packages at hand in a tree that the built ones depend on, and more."""
    place = tree / "debs"
    place.mkdir(exist_ok=True)
    for deb in built.debs:
        shutil.copy(deb, place)
    download = f"apt-get install -q -y --no-install-recommends --download-only /debs/*.deb {' '.join(more)}"
    subprocess.run(["chroot", tree, "sh", "-c", download], check=True, capture_output=True)
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def engine_packages(debian: Path) -> Path:
    """The packages of an engine, buildah and a registry that a clean Debian 12 lacks, kept between runs."""
    place = debian.parent / "engine-buildah-registry"
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=debian.parent) as scratch:
            tree = Path(scratch) / "tree"
            copy_tree(debian, tree)
            packages = "docker.io buildah docker-registry"
            download = f"apt-get clean; apt-get install -q -y --no-install-recommends --download-only {packages}"
            subprocess.run(["chroot", tree, "sh", "-c", download], check=True, capture_output=True)
            shutil.copytree(tree / "var/cache/apt/archives", place, ignore=shutil.ignore_patterns("lock", "partial"))
        (place / "ready").touch()
    return place


@pytest.fixture
def clean(base: Path, tmp_path: Path) -> Iterator[Machine]:
    """A clean Debian 12."""
    with machine_of(base, tmp_path / "clean") as machine:
        yield machine


@pytest.fixture(scope="session")
def serving_tree(base: Path, built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tree of a machine on which agent and server are installed and have run a job."""
    tree = tmp_path_factory.mktemp("serving") / "tree"
    copy_tree(base, tree)
    with running(Machine(tree)) as machine:
        machine.install(built.debs)
        for command in first_commands()[1:]:
            machine.run(command)
    yield tree
    shutil.rmtree(tree)


@pytest.fixture
def serving(serving_tree: Path, tmp_path: Path) -> Iterator[Machine]:
    """A machine on which agent and server run."""
    with machine_of(serving_tree, tmp_path / "serving") as machine:
        yield machine


def first_commands() -> list[str]:
    """Return the commands that the documentation names, from the installation to the first job."""
    return documented_commands("As a system service")[0]


def documented_commands(chapter: str) -> list[list[str]]:
    """Return the commands in each example of a chapter about operations."""
    _, _, rest = (ROOT / "docs" / "operations.md").read_text().partition(f"## {chapter}\n")
    examples = re.findall(r"```sh\n(.*?)```", rest.partition("\n## ")[0], re.DOTALL)
    return [[line.split("  #")[0].strip() for line in example.splitlines() if line.strip()] for example in examples]
