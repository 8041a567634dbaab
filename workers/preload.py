"""Imported by the fork server once, so that every worker starts with it in memory.

Must not start threads or open sockets: each worker is a copy of what this leaves.
"""

import workers.main  # noqa: F401
from ipc.bootstrap import freeze_imports

freeze_imports()
