"""The mark by which what an agent has made outside, such as a container, is told from what another one has."""

import hashlib
import socket
from pathlib import Path

_MACHINE_ID = Path("/etc/machine-id")


def agent_mark(state_dir: str) -> str:
    """Return the mark of the agent with this state directory on this host: 16 hexadecimal digits.

    It does not give away the host's own id, which is confidential by its manual page; a host without one goes by its
    name.
    """
    try:
        machine = _MACHINE_ID.read_text().strip()
    except OSError:
        machine = ""
    text = f"launchd containers {machine or socket.gethostname()} {Path(state_dir).resolve()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
