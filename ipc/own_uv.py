"""Which installer of Python packages the agent has: uv, where the extra `venv` brought it, else pip."""

import shutil
import sys
from pathlib import Path


def own_uv() -> str | None:
    """Return the path of the uv that came with the agent, None where none did; another uv on the host is none of it."""
    return shutil.which("uv", path=str(Path(sys.executable).parent))
