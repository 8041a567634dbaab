"""A registry of the tests' own, Debian's docker-registry: on a free port, plain, or with a password, or with TLS."""

import base64
import getpass
import json
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import pytest

from tests.support.engine import base_archive
from tests.support.parts import missing_part
from tests.support.python_image import VARIABLES, python_archive
from tests.support.waiting import wait_until

USER, PASSWORD = "ada", "secret"
#: bcrypt, of the password.
_HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"

#: A file with a bit that a sandbox may forbid to set, as the images of all distributions have.
SET_USER_ID_FILE = "bin/becomes-root"


class TestRegistry:
    """A registry that runs; images of it begin with ``name``."""

    __test__ = False

    def __init__(self, directory: Path, name: str, ca_file: Path | None) -> None:
        self.directory = directory
        self.name = name
        self.ca_file = ca_file

    def tags(self, repository: str) -> list[str]:
        """Return the tags that a repository has on disk."""
        place = self.directory / "data/docker/registry/v2/repositories" / repository / "_manifests/tags"
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []


def require(*programs: str) -> None:
    """Skip the test, or fail it if it must not be, where one of ``programs`` is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        sentence = f"{', '.join(missing)} is not installed here (Debian: apt-get install {' '.join(missing)})"
        missing_part(sentence)


@contextmanager
def running_registry(
    directory: Path, *, password: bool = False, host: str = "127.0.0.1", tls: bool = False
) -> Iterator[TestRegistry]:
    """Run a registry in ``directory`` while the block lasts; with ``tls`` a certificate of its own says who it is."""
    require("docker-registry")
    directory.mkdir(parents=True, exist_ok=True)
    with socket.create_server((host, 0)) as free:
        name = f"{host}:{free.getsockname()[1]}"
    ca_file = make_certificate(directory, host) if tls else None
    config = directory / "config.yml"
    config.write_text(_config(directory, name, password=password, tls=tls))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(name), 20, "the registry answered")
        yield TestRegistry(directory, name, ca_file)
    finally:
        process.terminate()
        process.wait(10)


def _config(directory: Path, name: str, *, password: bool, tls: bool) -> str:
    certificate = f", tls: {{certificate: {directory}/tls.crt, key: {directory}/tls.key}}" if tls else ""
    lines = [
        "version: 0.1",
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}, delete: {{enabled: true}}}}",
        f'http: {{addr: "{name}"{certificate}}}',
    ]
    if password:
        (directory / "htpasswd").write_text(_HTPASSWD)
        lines.append(f"auth: {{htpasswd: {{realm: tests, path: {directory}/htpasswd}}}}")
    return "\n".join([*lines, ""])


def make_certificate(directory: Path, host: str) -> Path:
    """Write ``tls.key`` and ``tls.crt``, which is returned, for a server at this address."""
    require("openssl")
    name = ("-subj", "/CN=tests", "-addext", f"subjectAltName=IP:{host}")
    files = ("-keyout", f"{directory}/tls.key", "-out", f"{directory}/tls.crt")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *files]
    subprocess.run(made, check=True, capture_output=True)
    return directory / "tls.crt"


def _answers(name: str) -> bool:
    host, _, port = name.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


class Buildah:
    """buildah by hand, with storage of its own, for what a test has to have before and to look at afterwards."""

    def __init__(self, directory: Path) -> None:
        require("buildah")
        if os.geteuid() != 0 and getpass.getuser() not in Path("/etc/subuid").read_text():
            pytest.skip("this user has no subordinate numbers in /etc/subuid")
        self._directory = directory
        self._environment = {**os.environ, "HOME": str(directory), "TMPDIR": str(directory)}
        directory.mkdir(parents=True, exist_ok=True)

    def __call__(self, *words: str) -> str:
        places = ("--root", str(self._directory / "root"), "--runroot", str(self._directory / "run"))
        done = subprocess.run(
            ["buildah", *places, "--storage-driver", "vfs", *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def login(self, registry: str) -> str:
        """Return the option with which a command opens a registry: no password in the command lines of the machine."""
        path = self._directory / "auth.json"
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        path.write_text(json.dumps({"auths": {registry: {"auth": login}}}))
        return f"--authfile={path}"

    def push_base(self, reference: str, *options: str) -> None:
        """Make a small base image and push it as ``reference``."""
        archive = self._directory / "base.tar"
        archive.write_bytes(base_archive())
        marked = f"cp /bin/busybox /{SET_USER_ID_FILE} && chmod 4755 /{SET_USER_ID_FILE}"
        self._push(archive, "PATH=/bin", reference, *options, then=marked)

    def push_python(self, reference: str, *options: str) -> None:
        """Push an image with Python and pip as ``reference``."""
        self._push(python_archive(), VARIABLES, reference, *options)

    def _push(self, archive: Path, variables: str, reference: str, *options: str, then: str = "true") -> None:
        container = self("from", "scratch")
        self("add", container, str(archive), "/")
        self("config", *(f"--env={variable}" for variable in variables.split()), container)
        self("run", "--isolation", "chroot", container, "sh", "-c", then)
        self("commit", "--quiet", "--rm", container, reference)
        self("push", "--quiet", "--tls-verify=false", *options, reference, f"docker://{reference}")

    def files(self, reference: str, *options: str) -> dict[str, tuple[int, int]]:
        """Return the files of an image of a registry, each with its mode and its user."""
        self("pull", "--quiet", "--tls-verify=false", *options, reference)
        path = self._directory / "saved.tar"
        path.unlink(missing_ok=True)
        self("push", "--quiet", reference, f"docker-archive:{path}:saved:1")
        found: dict[str, tuple[int, int]] = {}
        with tarfile.open(path) as archive:
            for layer in json.loads(_read(archive, "manifest.json"))[0]["Layers"]:
                with tarfile.open(fileobj=BytesIO(_read(archive, layer))) as files:
                    found |= {member.name: (member.mode, member.uid) for member in files}
        return found


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None
    return member.read()
