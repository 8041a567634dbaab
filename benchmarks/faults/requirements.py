"""What kinds of act need of the machine, and a mount namespace for those that mount."""

import os
import shutil
import subprocess
import sys
from collections.abc import Collection

#: Groups whose acts need a file system of their own.
MOUNTING = {"disk", "power"}

#: What serves a file system from a process.
FUSE = "/dev/fuse"

#: Set in the process that has a mount namespace of its own.
VARIABLE = "LAUNCHD_FAULTS_NAMESPACE"


class CannotRun(Exception):
    """Acts of ``group`` cannot be done on this machine; ``why`` is the end of a sentence."""

    def __init__(self, group: str, why: str) -> None:
        super().__init__(f"Acts of the kind {group} cannot run here: {why}.")
        self.group = group


def check_compiler(groups: Collection[str]) -> None:
    """Raise ``CannotRun`` where a group needs a C compiler and there is none."""
    if "clock" in groups and shutil.which("cc") is None:
        raise CannotRun("clock", "there is no C compiler (cc)")


def check_fuse(groups: Collection[str]) -> None:
    """Raise ``CannotRun`` where a group needs FUSE and this user may not use it."""
    if "power" in groups and not os.access(FUSE, os.R_OK | os.W_OK):
        raise CannotRun("power", f"{FUSE} is missing, or this user may not open it (root may)")


def enter_namespace(groups: Collection[str]) -> None:
    """Go on in a mount namespace of its own where a group needs it; what is mounted ends with it.

    The process begins anew in it, with the same arguments. An ordinary user gets a user namespace too.

    Raises:
        CannotRun: the machine permits no such namespace.
    """
    needing = MOUNTING & set(groups)
    if not needing or VARIABLE in os.environ:
        return
    command = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise CannotRun(min(needing), "the program unshare is missing") from None
    except subprocess.CalledProcessError as error:
        raise CannotRun(min(needing), f"no mount namespace is permitted ({error.stderr.strip()})") from None
    arguments = [*command, sys.executable, "-m", "benchmarks.faults", *sys.argv[1:]]
    sys.stdout.flush()
    os.execvpe(command[0], arguments, os.environ | {VARIABLE: "1"})
