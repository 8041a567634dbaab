"""A job that tries what the sandbox of ``launch-agent.service`` closes, and what it leaves open for jobs.

Standard library alone: it runs in the machine, as a job and beside the unit, with a part's name as its argument. Prints
a line for each attempt, ``NAME: works`` or ``NAME: fails``; each is named by the directive of the unit that decides.
"""

import ctypes
import errno
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

#: Numbers of system calls on x86-64.
USTAT, MODIFY_LDT, PERSONALITY, IOPL = 136, 154, 135, 172

CLONE_NEWCGROUP, CLONE_NEWUSER = 0x02000000, 0x10000000
ADDR_NO_RANDOMIZE, CURRENT_PERSONALITY = 0x0040000, 0xFFFFFFFF

#: ``mov eax, 42; ret``.
MACHINE_CODE = b"\xb8\x2a\x00\x00\x00\xc3"


def call(number: int, *arguments: int) -> None:
    """Make a system call; raises ``OSError`` where it is refused, and not where the kernel does not know it."""
    refused = _libc.syscall(number, *map(ctypes.c_long, arguments)) < 0
    if refused and ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(ctypes.get_errno(), "system call")


def in_child(action: Callable[[], None]) -> None:
    """Run what would change this process in a process of its own; raises ``OSError`` where it fails."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code, "in a child")


def write(path: str) -> Callable[[], None]:
    def attempt() -> None:
        file = Path(path, "probe")
        file.touch()
        file.unlink()

    return attempt


def connect(path: str) -> Callable[[], None]:
    def attempt() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(path)

    return attempt


def open_socket(family: int, kind: int, protocol: int = 0) -> Callable[[], None]:
    return lambda: socket.socket(family, kind, protocol).close()


def unshare(flags: int) -> Callable[[], None]:
    def attempt() -> None:
        if _libc.unshare(flags) < 0:
            raise OSError(ctypes.get_errno(), "unshare")

    return lambda: in_child(attempt)


def become_set_uid() -> None:
    """A program that belongs to root and has the set-uid bit is prepared at /srv/who."""
    if int(subprocess.check_output(["/srv/who", "-u"])) != 0:
        raise OSError(errno.EPERM, "another user stays")


def make_set_uid() -> None:
    file = Path("set-uid")
    file.touch()
    file.chmod(0o4755)


def run_written_code() -> None:
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as code:
        code.write(MACHINE_CODE)
        held = ctypes.c_char.from_buffer(code)
        answer = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(held))()
        del held
    if answer != 42:
        raise OSError(errno.EINVAL, "wrong answer")


def see_process_1() -> None:
    if "1" not in os.listdir("/proc"):  # noqa: PTH208
        raise OSError(errno.ENOENT, "/proc/1")


def see_owner() -> None:
    """A file of the user 1234 is prepared at /srv/data."""
    if Path("/srv/data").stat().st_uid != 1234:
        raise OSError(errno.EINVAL, "another owner")


def make_group() -> None:
    Path("/sys/fs/cgroup/probe").mkdir()
    Path("/sys/fs/cgroup/probe").rmdir()


def write_tunable() -> None:
    tunable = Path("/proc/sys/net/ipv4/ip_forward")
    tunable.write_text(tunable.read_text())


def read(path: str) -> Callable[[], None]:
    def attempt() -> None:
        Path(path).read_bytes()

    return attempt


def take_realtime() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def read_kernel_log() -> None:
    if _libc.klogctl(10, None, 0) < 0:
        raise OSError(ctypes.get_errno(), "klogctl")


def open_device() -> None:
    """A device is prepared at /dev/fake-gpu."""
    with Path("/dev/fake-gpu").open("r+b", buffering=0) as device:
        device.write(b"x")


def send_to_server() -> None:
    with socket.create_connection(("127.0.0.1", 8780), timeout=10):
        pass


#: What the unit closes to any user.
CLOSED: dict[str, Callable[[], None]] = {
    "NoNewPrivileges": become_set_uid,
    "RestrictSUIDSGID": make_set_uid,
    "RestrictNamespaces": unshare(CLONE_NEWUSER | CLONE_NEWCGROUP),
    "RestrictAddressFamilies vsock": open_socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "SystemCallFilter @obsolete": lambda: call(USTAT, 0, 0),
    "SystemCallFilter @cpu-emulation": lambda: call(MODIFY_LDT, 0, 0, 0),
    "ProtectProc": see_process_1,
    "InaccessiblePaths bus": connect("/run/dbus/system_bus_socket"),
}

#: What it closes to root, too.
CLOSED_TO_ROOT: dict[str, Callable[[], None]] = {
    "ProtectSystem usr": write("/usr"),
    "ProtectSystem etc": write("/etc"),
    "ProtectSystem boot": write("/boot"),
    "ReadOnlyPaths root": write("/root"),
    "ReadOnlyPaths systemd": write("/var/lib/systemd"),
    "ReadOnlyPaths dpkg": write("/var/lib/dpkg"),
    "ReadOnlyPaths run": write("/run/systemd"),
    "ReadOnlyPaths udev": write("/run/udev"),
    "InaccessiblePaths systemd": connect("/run/systemd/private"),
    "ProtectControlGroups": make_group,
    "ProtectKernelModules": read("/usr/lib/modules/module"),
    "CapabilityBoundingSet raw": open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "CapabilityBoundingSet name": lambda: socket.sethostname(socket.gethostname()),
    "RestrictAddressFamilies packet": open_socket(socket.AF_PACKET, socket.SOCK_RAW),
    "RestrictRealtime": lambda: in_child(take_realtime),
    "ProtectKernelLogs": read_kernel_log,
    "ProtectKernelTunables": write_tunable,
    "SystemCallFilter @raw-io": lambda: call(IOPL, 0),
}

#: What it leaves open, by the directive that would close it.
OPEN: dict[str, Callable[[], None]] = {
    "MemoryDenyWriteExecute": run_written_code,
    "RestrictNamespaces user": unshare(CLONE_NEWUSER),
    "PrivateDevices": open_device,
    "ProtectHome": read("/home/data"),
    "PrivateUsers": see_owner,
    "LockPersonality": lambda: call(PERSONALITY, ADDR_NO_RANDOMIZE),
    "PrivateTmp": read("/tmp/beside"),
    "IPAddressDeny": send_to_server,
    "RestrictAddressFamilies netlink": open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "ProcSubset": read("/proc/sys/kernel/random/boot_id"),
    "ProtectSystem strict": write("/srv/disk"),
}

PARTS = {"closed": CLOSED, "closed-to-root": CLOSED_TO_ROOT, "open": OPEN}


def main(part: str) -> None:
    for name, attempt in PARTS[part].items():
        sys.stdout.write(f"{name}: {outcome(attempt)}\n")


def outcome(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except OSError as error:
        return f"fails, {errno.errorcode.get(error.errno or 0, str(error.errno))}"
    return "works"


if __name__ == "__main__":
    main(sys.argv[1])
