"""A container engine of the tests' own: Docker's, with a base image that no registry is needed for.

As root one is started for this process of the run, in directories, behind a socket and on a bridge of its own, and
everything of it is removed at the end. Others name one by ``LAUNCHD_TEST_DOCKER_HOST``, which is used as it is.
"""

import io
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import docker

from tests.support.environment import DOCKER_HOST
from tests.support.parts import missing_part
from tests.support.waiting import wait_until

#: A few megabytes: one static program by its many names.
BASE_IMAGE = "localhost/launchd-test-base:1"
#: The same, which ends by SIGQUIT.
QUIT_IMAGE = "localhost/launchd-test-quit:1"
#: The same, with a command and an entry point of its own.
SAYING_IMAGE = "localhost/launchd-test-saying:1"

_BUSYBOX = Path("/bin/busybox")
_START_SECONDS, _STOP_SECONDS = 40.0, 40.0
_MISSING = "There is no container engine here (Debian: apt-get install docker.io iptables busybox-static)"


class TestEngine:
    """An engine that answers at ``address``; one that the tests started can be killed, stopped and started again."""

    __test__ = False

    def __init__(self, address: str, command: Sequence[str] = (), log: Path | None = None) -> None:
        self.address = address
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it may be killed."""
        return bool(self._command)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._log is not None
        # Of an engine that was killed; where nothing reaps orphans, its processes seem to live on.
        for name in ("pid", "exec/containerd/containerd.pid"):
            (self._log.parent / name).unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.answers, _START_SECONDS, f"the engine answered ({self._log})")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, but not its containers."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def freeze(self) -> None:
        """Have it not answer any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def answers(self) -> bool:
        """Return whether it answers. Asked without the SDK, which leaves a socket open where nobody listens."""
        try:
            with closing(socket.socket(socket.AF_UNIX)) as connection:
                connection.connect(self.address.removeprefix("unix://"))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(64)
        except OSError:
            return False

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Give the SDK's client of it."""
        client = docker.APIClient(base_url=self.address, version="auto", timeout=30)
        try:
            yield client
        finally:
            client.close()

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return all its containers of agents, by name."""
        with self.client() as client:
            seen = {}
            for one in client.containers(all=True, filters={"label": "launchd.name"}):
                # One that is being removed may be gone by now.
                with suppress(docker.errors.NotFound):
                    seen[one["Labels"]["launchd.name"]] = client.inspect_container(one["Id"])
            return seen

    def remove_containers(self) -> None:
        """Remove all its containers of agents, whatever they do."""
        with self.client() as client:
            for one in client.containers(all=True, filters={"label": "launchd.name"}):
                with suppress(docker.errors.APIError):
                    client.remove_container(one["Id"], force=True, v=True)

    def import_images(self) -> None:
        """Make the images that tests use."""
        with self.client() as client:
            repository, _, tag = BASE_IMAGE.rpartition(":")
            client.import_image_from_data(
                base_archive(), repository=repository, tag=tag, changes=["ENV PATH=/bin", "ENV FROM_IMAGE=1"]
            )
            if not client.images(BASE_IMAGE):
                # Podman of some versions imports without the tag.
                client.tag(f"{repository}:latest", repository, tag)
            for name, line in (
                (QUIT_IMAGE, "STOPSIGNAL SIGQUIT"),
                (SAYING_IMAGE, 'ENTRYPOINT ["echo", "entry"]\nCMD ["command"]'),
            ):
                dockerfile = io.BytesIO(f"FROM {BASE_IMAGE}\n{line}\n".encode())
                # Read to its end, which is that of the build.
                list(client.build(fileobj=dockerfile, tag=name, rm=True, forcerm=True))


@contextmanager
def image_of(engine: TestEngine, lines: str, name: str = "localhost/launchd-test-odd:1") -> Iterator[str]:
    """Give the name of an image of the base with further lines of a Dockerfile; it is gone afterwards."""
    with engine.client() as client:
        dockerfile = io.BytesIO(f"FROM {BASE_IMAGE}\n{lines}\n".encode())
        list(client.build(fileobj=dockerfile, tag=name, rm=True, forcerm=True))
        try:
            yield name
        finally:
            client.remove_image(name, force=True)


def base_archive() -> bytes:
    """Return the files of the base image as an archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        add_base_files(archive)
    return made.getvalue()


def add_base_files(archive: tarfile.TarFile) -> None:
    """Add the files of the base image to an archive."""
    for name in ("bin", "etc", "root", "tmp", "proc", "sys", "dev"):
        _add(archive, name, type=tarfile.DIRTYPE, mode=0o1777 if name == "tmp" else 0o755)
    archive.add(_BUSYBOX, "bin/busybox")
    programs = subprocess.check_output([str(_BUSYBOX), "--list"], text=True).split()
    for program in set(programs) - {"busybox"}:
        _add(archive, f"bin/{program}", type=tarfile.SYMTYPE, linkname="busybox")
    passwd = b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n"
    _add(archive, "etc/passwd", passwd, mode=0o644)
    _add(archive, "etc/group", b"root:x:0:\nuser:x:1000:\n", mode=0o644)


def _add(archive: tarfile.TarFile, name: str, data: bytes = b"", **fields: Any) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    for field, value in fields.items():
        setattr(entry, field, value)
    archive.addfile(entry, io.BytesIO(data))


@contextmanager
def running_engine() -> Iterator[TestEngine]:
    """An engine with the tests' images. Where there is none the test is skipped, or fails if it must not be."""
    given = os.environ.get(DOCKER_HOST)
    if given:
        engine = TestEngine(given)
        engine.import_images()
        yield engine
        engine.remove_containers()
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None or not _BUSYBOX.exists():
        missing_part(_MISSING)
    directory = Path(tempfile.mkdtemp(prefix="launchd-engine-"))
    try:
        with own_engine(directory) as engine:
            yield engine
    finally:
        shutil.rmtree(directory)


@contextmanager
def own_engine(directory: Path) -> Iterator[TestEngine]:
    """A further engine, with all that is its own below ``directory``, which only root may start."""
    with _bridge() as bridge:
        address = f"unix://{directory}/docker.sock"
        with started(TestEngine(address, _command(directory, address, bridge), directory / "log"), directory) as engine:
            yield engine


@contextmanager
def started(engine: TestEngine, directory: Path) -> Iterator[TestEngine]:
    """Start an engine whose files are below ``directory``, with the tests' images, and stop it at the end."""
    try:
        engine.start()
        engine.import_images()
        yield engine
        engine.remove_containers()
    finally:
        engine.stop()
        unmount_below(directory)


def _command(directory: Path, address: str, bridge: str) -> list[str]:
    places: Mapping[str, str] = {
        "--host": address,
        "--data-root": f"{directory}/data",
        "--exec-root": f"{directory}/exec",
        "--pidfile": f"{directory}/pid",
        "--bridge": bridge,
        "--config-file": f"{directory}/none.json",
    }
    (directory / "none.json").write_text("{}")
    # Containers outlive the engine; nothing outside this bridge is reached, and no rule of the host changed.
    options = ("--live-restore", "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false")
    return ["dockerd", *(word for pair in places.items() for word in pair), *options]


@contextmanager
def _bridge() -> Iterator[str]:
    """A bridge of the engine's own: engines that share one would give out the same addresses."""
    name = f"lt{secrets.token_hex(4)}"
    first, second = secrets.randbelow(200) + 20, secrets.randbelow(250)
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", f"10.{first}.{second}.1/24", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


def unmount_below(directory: Path) -> None:
    """Undo what an engine that was killed left mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split(" ")[4] for line in lines]
    for point in sorted((point for point in points if point.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False)
