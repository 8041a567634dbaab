"""The API keys that jobs run with: their own, or the agent's.

A job's own key (W&B's ``_wandb_api_key``: launchd's queue server makes one for each job, W&B's may put the submitter's
there) must survive a restart of the agent until its job has begun, for what brings it there may be lost before, and
must not be in a journal, log or command line: it is in a file of its own that only the agent's user may read.
"""

import logging
import os
from pathlib import Path

from ipc.directories import sync_names

log = logging.getLogger(__name__)


class SubmitterKeys:
    """The keys in ``directory``, a file per job."""

    def __init__(self, directory: Path, own_key: str) -> None:
        self._directory = directory
        self._own_key = own_key

    def keep(self, name: str, key: str | None) -> None:
        """Keep the submitter's ``key`` for the job ``name``, if there is one, over a power cut; raises ``OSError``."""
        if key is None:
            return
        if not self._directory.exists():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_names(self._directory.parent)
        descriptor = os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key)
            file.flush()
            os.fsync(descriptor)
        sync_names(self._directory)

    def key_for(self, name: str, submitter: bool) -> str:
        """Return the key that the job ``name`` runs with; an empty one where the submitter's was lost."""
        if not submitter:
            return self._own_key
        try:
            return self._path(name).read_text()
        except OSError:
            return ""

    def forget(self, name: str) -> None:
        """Remove the key kept for the job ``name``, if there is one; where the disk refuses that, it is logged."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            log.warning(
                "The API key of a job cannot be removed.",
                extra={"path": str(self._path(name)), "error": error.strerror},
            )

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.key"
