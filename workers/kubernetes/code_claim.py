"""The files of jobs that no image has, in a claim that the agent has mounted: W&B's ``WANDB_LAUNCH_CODE_PVC_NAME``.

Each job has a directory of its own there, and its pod sees that alone. Owns these directories.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from ipc.errors import HostError
from ipc.settings import KubernetesConfig

#: W&B's variables.
CLAIM_VARIABLE = "WANDB_LAUNCH_CODE_PVC_NAME"
DIRECTORY_VARIABLE = "WANDB_LAUNCH_CODE_PVC_MOUNT_PATH"

_HINT = "The administrator mounts the claim there, see launchd.kubernetes.code_claim_directory."


class CodeClaim(msgspec.Struct, frozen=True):
    """The claim ``name``, which this host has mounted at ``directory``."""

    name: str
    directory: str

    @property
    def volume(self) -> dict[str, Any]:
        """The source of a volume with all of it."""
        return {"persistentVolumeClaim": {"claimName": self.name}}

    def put(self, archive: Path, workload: str, file: str) -> None:
        """Put an archive into the directory of ``workload``, as ``file``; raises :class:`HostError`."""
        place = Path(self.directory, workload)
        new = place / f".{file}.new"
        try:
            place.mkdir(mode=0o755, exist_ok=True)
            shutil.copyfile(archive, new)
            new.chmod(0o644)
            new.replace(place / file)
        except OSError as error:
            raise HostError(
                f"The job's files could not be put into {self.directory}: {error.strerror}.", hint=_HINT
            ) from error

    def has(self, workload: str, file: str) -> bool:
        """Return whether the directory of ``workload`` has ``file``; True also where this host cannot say."""
        try:
            return Path(self.directory, workload, file).is_file()
        except OSError:
            return True

    def remove(self, workload: str) -> None:
        """Remove the directory of ``workload``; what is gone, or cannot be removed, is no problem of the job."""
        shutil.rmtree(Path(self.directory, workload), ignore_errors=True)


def find_code_claim(settings: KubernetesConfig) -> CodeClaim | None:
    """Return the claim of the settings, or of W&B's variables; None where there is none.

    Raises:
        HostError: it is not said where it is mounted.
    """
    name = settings.code_claim or os.environ.get(CLAIM_VARIABLE)
    directory = settings.code_claim_directory or os.environ.get(DIRECTORY_VARIABLE)
    if not name:
        return None
    if not directory:
        raise HostError(f"It is not said where this host has the claim {name} for jobs' files mounted.", hint=_HINT)
    return CodeClaim(name, directory)
