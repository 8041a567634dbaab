"""Keeps one tool of a job: starts it, reports its end, and ends everything that it started, wherever that went.

A program of its own, started by :mod:`workers.subprocess_runner` in a session of its own and as the one that adopts
orphans: what a tool starts stays below it through any ``setsid`` and double fork. It outlives a worker that is killed,
and kills what is left then. It imports little, because it is started for each tool.

``/proc/self/fd/PROGRAM REPORT CONTROL GROUP UID GID DIRECTORY TOOL [ARGUMENT ...]``: PROGRAM is a descriptor of this
file, whose path may be out of reach. REPORT and CONTROL are descriptors of pipes; GROUP is the path of the control
group of the job's tools, empty, like UID and GID, for none.

To REPORT it writes one line: ``failed ERRNO`` for a tool that could not be started, else, at the tool's end,
``exit CODE`` or ``signal NUMBER``. From CONTROL it takes a byte as the request to end the tool with SIGTERM, and its
end as the request to kill what is left. It leaves with exit code 0 once nothing is left.
"""

import fcntl
import os
import select
import signal
import sys
import time
from contextlib import suppress

#: Processes that are still there this long after SIGKILL hang in the kernel; the monitor leaves without them.
GIVE_UP_SECONDS = 10.0
_KILL_AGAIN_SECONDS = 0.02
#: Standard input, output and error.
_STREAMS = 3


def main(arguments: list[str]) -> int:
    """Keep the tool to its end; return the exit code."""
    report, control = int(arguments[0]), int(arguments[1])
    program = int(sys.argv[0].rpartition("/")[2])
    for descriptor in (report, control, program):
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    group, user, directory, command = arguments[2], arguments[3:5], arguments[5], arguments[6:]
    wakeup = _wake_on_ended_children()
    tool = _start(report, group, user, directory, command)
    _let_go_of_output()
    if tool is not None:
        _wait(tool, report, control, wakeup)
    return _end_the_rest(group)


def _wake_on_ended_children() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _start(report: int, group: str, user: list[str], directory: str, command: list[str]) -> int | None:
    """Start the tool and return its process id; report why not, and return ``None``, where that fails."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    tool = os.fork()
    if tool == 0:
        try:
            _become_tool(group, user, directory, command)
        except OSError as error:
            os.write(writer, b"%d" % (error.errno or 0))
        finally:
            os._exit(127)
    os.close(writer)
    refusal = os.read(reader, 16)
    os.close(reader)
    if not refusal:
        return tool
    os.write(report, b"failed %s\n" % refusal)
    return None


def _become_tool(group: str, user: list[str], directory: str, command: list[str]) -> None:
    # What Python, or who started the agent, ignores or handles the tool has to find as usual.
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    if group:
        _write(f"{group}/cgroup.procs", b"0")
    if user[0]:
        os.setgroups([])
        os.setgid(int(user[1]))
        os.setuid(int(user[0]))
    # As the user, who has to be allowed to enter it.
    os.chdir(directory)
    os.execvp(command[0], command)  # noqa: S606 (a tool has no need of a shell)


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _let_go_of_output() -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for stream in range(_STREAMS):
        os.dup2(null, stream)


def _wait(tool: int, report: int, control: int, wakeup: int) -> None:
    """Wait for the tool's end, which is reported, or for the request to kill it."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == wakeup:
                os.read(wakeup, 4096)
            elif os.read(control, 1):
                _signal_all(signal.SIGTERM)
                # A stopped process would not see it.
                _signal_all(signal.SIGCONT)
            else:
                return
        status = _reap(tool)
        if status is not None:
            # The worker may be gone.
            with suppress(OSError):
                os.write(report, _described(status))
            return


def _reap(tool: int) -> int | None:
    """Release all children that have ended; return the tool's wait status if it is among them."""
    found = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == tool:
                found = ended[1]
    return found


def _described(status: int) -> bytes:
    code = os.waitstatus_to_exitcode(status)
    return b"exit %d\n" % code if code >= 0 else b"signal %d\n" % -code


def _end_the_rest(group: str) -> int:
    """Kill everything below this process, and what is in the group, until nothing is left; return the exit code."""
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    while _has_children():
        if group:
            with suppress(OSError):
                _write(f"{group}/cgroup.kill", b"1")
        _signal_all(signal.SIGKILL)
        if time.monotonic() > give_up_at:
            return 1
        time.sleep(_KILL_AGAIN_SECONDS)
    return 0


def _has_children() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _signal_all(number: signal.Signals) -> None:
    for pid in _descendants(os.getpid()):
        with suppress(OSError):
            os.kill(pid, number)


def _descendants(root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit() and (parent := _parent_of(entry.name)) is not None:
                children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        fresh = [pid for pid in children.get(waiting.pop(), ()) if pid not in found]
        found.update(fresh)
        waiting += fresh
    return found


def _parent_of(pid: str) -> int | None:
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        text = os.read(descriptor, 4096)
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
    # The command's name stands in parentheses and may contain anything, parentheses too.
    return int(text[text.rindex(b")") + 2 :].split(maxsplit=2)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
