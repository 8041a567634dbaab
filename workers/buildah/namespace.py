"""Starts a command in namespaces of its own: of mounts, and of users where it is given numbers of users.

A program of its own, started as root with ``/proc/self/fd/PROGRAM FIRST COUNT COMMAND [ARGUMENT ...]``: PROGRAM is a
descriptor of this file. The command is root in its namespace of users, and the user FIRST outside of it; COUNT users
from there on are the namespace's others. A COUNT of 0 leaves the users as they are. What the command mounts goes with
its last process.

The maps are written here, where root has the right to (CAP_SETUID, CAP_SETGID), so no program with a set-user-ID bit
is needed.
"""

import ctypes
import os
import sys
from pathlib import Path

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000
_RECURSIVE, _PRIVATE = 0x4000, 0x40000
#: What a shell says of a command that could not be run.
_NOT_RUN = 126


def main(arguments: list[str]) -> int:
    """Run the command in this process's place; return an exit code where that is not possible."""
    first, count, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    try:
        if count:
            _enter_users(first, count)
        else:
            _unshare(_NEW_MOUNTS)
        # What is mounted from now on is seen here alone.
        _call("mount", b"none", b"/", None, _RECURSIVE | _PRIVATE, None)
        os.execvp(command[0], command)  # noqa: S606 (the caller's own command)
    except OSError as error:
        sys.stderr.write(f"Error: {command[0]} cannot be run in a namespace of its own: {error.strerror}\n")
    return _NOT_RUN


def _enter_users(first: int, count: int) -> None:
    """Become root of a new namespace, whose users are ``count`` numbers from ``first`` on."""
    os.setgroups([])
    waits, tells = os.pipe()
    process = os.getpid()
    # Only a process that stays outside may say who the users are.
    mapper = os.fork()
    if mapper == 0:
        os.close(tells)
        os._exit(_map_users(waits, process, f"0 {first} {count}"))
    os.close(waits)
    _unshare(_NEW_USERS | _NEW_MOUNTS)
    os.write(tells, b"1")
    os.close(tells)
    _, status = os.waitpid(mapper, 0)
    if status != 0:
        raise OSError(os.waitstatus_to_exitcode(status), os.strerror(os.waitstatus_to_exitcode(status)))
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _map_users(waits: int, process: int, line: str) -> int:
    """Write the maps of a process once it has its namespace; return what went wrong, as the system's number."""
    if not os.read(waits, 1):
        return 0
    try:
        for name in ("gid_map", "uid_map"):
            Path(f"/proc/{process}/{name}").write_text(line)
    except OSError as error:
        return error.errno or 1
    return 0


def _unshare(what: int) -> None:
    _call("unshare", what)


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library; raises :class:`OSError`."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
