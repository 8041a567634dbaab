"""Which process, on which host, an agent is: a state directory that was copied must not make two hosts one agent."""

import hashlib
import socket
import uuid
from pathlib import Path

from launchd import __version__
from launchd.agent.journal import Journal
from launchd.client.queue_server import AgentIdentity

#: The key of the journal's meta table under which the present process's incarnation is kept.
INCARNATION = "incarnation"

_MACHINE_ID = Path("/etc/machine-id")


def next_identity(journal: Journal, machine_id_path: Path = _MACHINE_ID) -> AgentIdentity:
    """Return the identity of a process that begins with ``journal``, where it is kept with the next commit."""
    previous, incarnation = journal.meta(INCARNATION), uuid.uuid4().hex
    journal.set_meta(INCARNATION, incarnation)
    return AgentIdentity(
        incarnation=incarnation,
        previous_incarnation=previous,
        machine_id=_machine_id(machine_id_path, journal.path.parent),
        hostname=socket.gethostname(),
        version=default_version(),
    )


def default_version() -> str:
    """Return the version that agents report: ``launchd@`` and the package's."""
    return f"launchd@{__version__}"


def _machine_id(path: Path, state_dir: Path) -> str | None:
    """Return an id of this state directory on this host: with another journal in it, it still is the same agent's.

    It does not give away the host's own id, which is confidential by its manual page.
    """
    try:
        own = path.read_text().strip()
    except OSError:
        return None
    return hashlib.sha256(f"launchd {own} {state_dir.resolve()}".encode()).hexdigest()[:32] if own else None
