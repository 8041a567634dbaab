"""Directories: whether they answer, what file system they are on, and how much room is left."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ipc.engine_address import engine_address
from ipc.sizes import format_size
from launchd.doctor.asking import EngineAway
from launchd.doctor.engine import info_of, runs_containers
from launchd.doctor.findings import Finding, fail, not_applicable, ok, warn
from launchd.doctor.host import Host

SILENCE = (
    "The directory does not answer: a network file system whose server is away hangs so, and each job with it.",
    "`mount` says which it is; bring its server back, or name a directory on a local disk.",
)

#: File systems behind a network or another process, which may hang, and whose locks may not hold.
_REMOTE = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
     "smb3", "smbfs", "virtiofs"}
)  # fmt: skip

_LITTLE, _TOO_LITTLE = 10 << 30, 1 << 30
_FEW_FILES = 0.02


def check_state(host: Host) -> Iterator[Finding]:
    """Write into the state directory, and look at its disk."""
    directory = Path(host.config.launchd.state_dir)
    yield from _local(directory, "launchd.state_dir", "the journal's locks may not hold there, and jobs hang with it")
    yield from _writable(directory)
    yield from _room(directory, "The agent stops taking jobs, and jobs lose output.")


def check_temporary(host: Host) -> Iterator[Finding]:
    """Write into the directory for temporary files, and look at its disk."""
    directory = Path(host.environ.get("TMPDIR") or tempfile.gettempdir())
    yield from _local(directory, "TMPDIR", "builds and jobs hang with it")
    yield from _writable(directory)
    yield from _room(directory, "Builds fail, and jobs that write temporary files.")


def check_images(host: Host) -> Iterator[Finding]:
    """Look at the disk with the images of the container engine."""
    if not runs_containers(host):
        yield not_applicable("No queue of this agent may ask for containers.")
        return
    if not engine_address(host.config.launchd.docker.host, host.environ).startswith("unix://"):
        yield not_applicable("The container engine is another host's.")
        return
    try:
        directory = str(info_of(host).get("DockerRootDir") or "")
    except (OSError, EngineAway):
        yield not_applicable("The container engine does not answer.")
        return
    if not directory or not Path(directory).exists():
        yield not_applicable("The container engine does not say where its images are.")
        return
    yield from _room(Path(directory), "Pulls and builds fail.", host.config.launchd.docker.cleanup.above_percent)


def _local(directory: Path, setting: str, consequence: str) -> Iterator[Finding]:
    kind = _file_system(directory)
    if kind in _REMOTE:
        yield warn(
            f"{directory} is on a network file system ({kind}).",
            f"If its server is away, {consequence}.",
            f"Name a directory on a local disk ({setting}).",
        )


def _writable(directory: Path) -> Iterator[Finding]:
    if not directory.exists():
        yield not_applicable(f"{directory} does not exist yet: the agent makes it.")
        return
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"launchd doctor")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        yield fail(
            f"Nothing can be written into {directory}: {error.strerror}.",
            "The agent does not start, or takes no jobs.",
            "Run the doctor as the agent's user; otherwise give that user the directory, and the disk room.",
        )
    else:
        yield ok(f"{directory} can be written to.")


def _room(directory: Path, consequence: str, most_percent: float = 95.0) -> Iterator[Finding]:
    place = next(path for path in (directory, *directory.parents) if path.exists())
    seen = os.statvfs(place)
    free = seen.f_bavail * seen.f_frsize
    used_percent = 100.0 * (1 - seen.f_bavail / seen.f_blocks) if seen.f_blocks else 0.0
    words = f"{format_size(free)} are free for {directory} ({used_percent:.0f} % in use)"
    fix = "Free some space: `launchd clean`, fewer kept jobs (launchd.jobs.keep_finished), or a larger disk."
    if free < _TOO_LITTLE:
        yield fail(f"Only {words}.", consequence, fix)
    elif seen.f_files and seen.f_favail / seen.f_files < _FEW_FILES:
        yield fail(f"Hardly any new file fits on the disk of {directory} (inodes).", consequence, fix)
    elif free < _LITTLE or used_percent > most_percent:
        yield warn(f"{words}.", consequence, fix)
    else:
        yield ok(f"{words}.")


def _file_system(directory: Path) -> str:
    """Return the kind of file system that a directory is on, by the kernel's list of mounts, without touching it."""
    best, kind = "", ""
    for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        fields, _, described = line.partition(" - ")
        # The kernel writes spaces and the like as octal numbers.
        place = fields.split()[4].encode().decode("unicode_escape")
        if len(place) >= len(best) and (directory == Path(place) or Path(place) in directory.parents):
            best, kind = place, described.split()[0]
    return kind
