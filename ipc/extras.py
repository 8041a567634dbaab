"""How an extra of this package is installed, in the words of every message that wants one.

No package index has this package: what is installed by its name alone would be a stranger's.
"""

import sys


def how_to_install(extra: str) -> str:
    """Return the command that installs what the extra brings, into the environment of this process."""
    return f"{sys.executable} -m pip install --require-hashes -r requirements/{extra}.lock, in launchd's repository"
