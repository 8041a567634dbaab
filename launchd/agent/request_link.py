"""The thread that keeps the process which asks a cloud for all workers.

It replaces one that hangs or dies. Workers speak to the process themselves: while there is none, their jobs' targets do
not answer, which costs no job.
"""

import contextlib
import logging
import time
from collections.abc import Iterable
from multiprocessing import connection
from pathlib import Path

from ipc.request_service import ServiceEnd, ServicePeer, ServiceSettings, open_pipes, socket_path
from ipc.targets import clouds_of
from launchd.agent.service_thread import ServiceThread
from launchd.config import SupervisionConfig

log = logging.getLogger(__name__)


class RequestLink(ServiceThread[ServicePeer]):
    """Started once, for the cloud of the name ``cloud``. :meth:`end` is called from the main thread."""

    def __init__(self, cloud: str, path: str, settings: ServiceSettings, silence_seconds: float) -> None:
        super().__init__(f"requests to {cloud}", f"The process that asks {cloud}", path)
        self._cloud = cloud
        self._settings = settings
        self._silence = silence_seconds

    def end(self) -> None:
        """Have process and thread end; the socket goes at once, for the agent may not wait for them."""
        super().end()
        # A directory that cannot be written any more ends no agent.
        with contextlib.suppress(OSError):
            Path(self._settings.socket).unlink()

    def open_pipes(self) -> tuple[ServicePeer, ServiceEnd]:
        """Return both sides of the pipe of a process that asks."""
        Path(self._settings.socket).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open_pipes(self._settings)

    def on_failure(self, why: str) -> None:
        """Say that workers get no answers until the next process is there."""
        log.warning(
            "What asks a cloud for all jobs ended; it is started anew.", extra={"cloud": self._cloud, "why": why}
        )

    def converse(self, peer: ServicePeer) -> str | None:
        """Hear that the process lives, or why it cannot serve."""
        heard_at = time.monotonic()
        while not self.is_to_end:
            left = heard_at + self._silence - time.monotonic()
            ready = connection.wait([peer.fileno(), self._wake], max(0.0, left))
            if peer.fileno() in ready:
                try:
                    why = peer.hear()
                except (EOFError, OSError):
                    return "It died."
                if why is not None:
                    return why
                self.note_success()
                heard_at = time.monotonic()
            elif left <= 0:
                return f"It has said nothing for {self._silence:g} s."
        return None


def request_links(resources: Iterable[str], runtime_dir: str, config: SupervisionConfig) -> tuple[RequestLink, ...]:
    """Return the threads for the clouds that have ``resources``, not started yet."""
    return tuple(
        RequestLink(
            cloud.environment,
            cloud.service,
            ServiceSettings(socket_path(runtime_dir, cloud), config.worker_heartbeat_seconds),
            config.worker_silence_seconds,
        )
        for cloud in clouds_of(resources)
        if cloud.service is not None
    )
