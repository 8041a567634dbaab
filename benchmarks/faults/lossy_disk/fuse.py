"""Serves a tree of files to the kernel: the part of the FUSE protocol that programs on a lossy disk need.

Numbers and layouts are those of ``linux/fuse.h``, version 7.31.
"""

import ctypes
import errno
import os
import stat
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.faults.lossy_disk.tree import PAGE, Node, NoRoom, Tree

DEVICE = Path("/dev/fuse")
MINOR_VERSION = 31
MAX_WRITE = 128 * 1024

_REQUEST = struct.Struct("=IIQQIIIHH")
_REPLY = struct.Struct("=IiQ")
_ATTRIBUTES = struct.Struct("=6Q10I")
_INIT = struct.Struct("=IIIIHHIIHHI28x")
_SET_ATTRIBUTES = struct.Struct("=II6Q8I")
_STATFS = struct.Struct("=5Q4I24x")

BIG_WRITES = 1 << 5
PARALLEL_DIROPS = 1 << 18
MAX_PAGES = 1 << 22
#: The kernel may keep the pages of a file that is opened: it alone changes it.
KEEP_CACHE = 1 << 1

#: How long the kernel may believe what it was told, in seconds: it is the only one that changes anything.
VALID_SECONDS = 86400

#: Bits of a change of attributes.
MODE, UID, GID, SIZE, ATIME, MTIME, ATIME_NOW, MTIME_NOW, CTIME = (1 << bit for bit in (0, 1, 2, 3, 4, 5, 7, 8, 10))

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
FALLOCATE_KEEP_SIZE = 1
MNT_DETACH = 2
O_EXCL = os.O_EXCL


class Refused(Exception):
    """The answer is an error number."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.number = number


class Request:
    """One request of the kernel: whom it is for, what it says, and whose it is."""

    def __init__(self, tree: Tree, buffer: memoryview) -> None:
        self.length, self.operation, self.unique, number, self.uid, self.gid, *_ = _REQUEST.unpack_from(buffer)
        self.body = buffer[_REQUEST.size : self.length]
        self.node = tree.nodes.get(number, tree.root)

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Return the numbers at the beginning of the body."""
        return struct.unpack_from(f"={layout}", self.body)

    def names(self, skip: int = 0) -> list[bytes]:
        """Return the names that follow the first ``skip`` bytes of the body."""
        return bytes(self.body[skip:]).split(b"\0")[:-1]


class Connection:
    """A mount of ``tree`` at ``mount_point``, until it is closed; :meth:`serve_one` answers the next request."""

    def __init__(self, tree: Tree, mount_point: Path) -> None:
        """Mount it; raises :class:`OSError` where that is not permitted."""
        self._tree = tree
        self._mount_point = mount_point
        self._buffer = bytearray(MAX_WRITE + PAGE)
        self._view = memoryview(self._buffer)
        self._listings: dict[int, list[tuple[bytes, Node]]] = {}
        self._next_listing = 1
        self._operations = self._by_number()
        self._descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._mount()
        except OSError:
            os.close(self._descriptor)
            raise

    def fileno(self) -> int:
        """Return the descriptor that is readable when there is a request."""
        return self._descriptor

    def close(self) -> None:
        """End it with an error for all who wait for an answer or ask later, and unmount it."""
        os.close(self._descriptor)
        _libc.umount2(os.fsencode(self._mount_point), MNT_DETACH)

    def serve_one(self) -> bool:
        """Answer one request; returns false when it was unmounted."""
        try:
            os.readv(self._descriptor, [self._buffer])
        except OSError as error:
            # Interrupted requests are gone by now.
            return error.errno != errno.ENODEV
        request = Request(self._tree, self._view)
        operation = self._operations.get(request.operation)
        number, answer = errno.ENOSYS, b""
        if operation is not None:
            try:
                number, answer = 0, operation(request)
            except Refused as refused:
                number, answer = refused.number, b""
            except NoRoom:
                number, answer = errno.ENOSPC, b""
        if request.operation not in _WITHOUT_ANSWER:
            self._answer(request, number, answer)
        return True

    def _answer(self, request: Request, number: int, answer: bytes) -> None:
        head = _REPLY.pack(_REPLY.size + len(answer), -number, request.unique)
        # The one who asked may have been killed.
        with suppress(FileNotFoundError):
            os.writev(self._descriptor, [head, answer])

    def _mount(self) -> None:
        owner = f"user_id={os.geteuid()},group_id={os.getegid()}"
        options = f"fd={self._descriptor},rootmode=40755,{owner},default_permissions,allow_other"
        if _libc.mount(b"lossy-disk", os.fsencode(self._mount_point), b"fuse", 0, options.encode()) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def _by_number(self) -> dict[int, Callable[[Request], bytes]]:
        return {
            1: self._look_up,
            2: self._forget,
            3: lambda request: _attributes_answer(request.node),
            4: self._set_attributes,
            5: lambda request: bytes(request.node.data),
            6: self._make_symbolic_link,
            8: self._make_special,
            9: self._make_directory,
            10: self._unlink,
            11: self._remove_directory,
            12: self._rename,
            13: self._link,
            15: self._read,
            16: self._write,
            17: self._file_system_status,
            20: self._sync,
            26: self._begin,
            27: self._open_directory,
            28: self._read_directory,
            29: self._release_directory,
            30: self._sync,
            35: self._create,
            36: lambda _: b"",
            14: lambda _: _OPENED,
            18: lambda _: b"",
            42: self._forget_many,
            43: self._allocate,
            45: self._rename_with_flags,
        }

    def _begin(self, request: Request) -> bytes:
        major, minor, read_ahead, _ = request.numbers("4I")
        flags = BIG_WRITES | PARALLEL_DIROPS | MAX_PAGES
        minor = min(minor, MINOR_VERSION)
        return _INIT.pack(major, minor, read_ahead, flags, 64, 48, MAX_WRITE, 1, MAX_WRITE // PAGE, 0, 0)

    # -- nodes

    def _look_up(self, request: Request) -> bytes:
        (name,) = request.names()
        return self._entry(_entry_of(request.node, name))

    def _forget(self, request: Request) -> bytes:
        self._tree.forget(request.node, *request.numbers("Q"))
        return b""

    def _forget_many(self, request: Request) -> bytes:
        count, _ = request.numbers("II")
        for number, lookups in struct.iter_unpack("=QQ", request.body[8 : 8 + 16 * count]):
            if (node := self._tree.nodes.get(number)) is not None:
                self._tree.forget(node, lookups)
        return b""

    def _set_attributes(self, request: Request) -> bytes:
        valid, _, _, size, _, *times, atime_part, mtime_part, ctime_part, mode, _, uid, gid, _ = (
            _SET_ATTRIBUTES.unpack_from(request.body)
        )
        node = request.node
        if valid & SIZE:
            self._tree.resize(node, size)
        if valid & MODE:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        node.uid = uid if valid & UID else node.uid
        node.gid = gid if valid & GID else node.gid
        node.touch(content=False)
        for index, (bit, bit_now, part) in enumerate(
            ((ATIME, ATIME_NOW, atime_part), (MTIME, MTIME_NOW, mtime_part), (CTIME, 0, ctime_part))
        ):
            if valid & bit:
                node.times[index] = times[index] * 10**9 + part
            if valid & bit_now:
                node.times[index] = time.time_ns()
        return _attributes_answer(node)

    def _entry(self, node: Node) -> bytes:
        node.lookups += 1
        return struct.pack("=4QII", node.number, 0, VALID_SECONDS, VALID_SECONDS, 0, 0) + _attributes(node)

    # -- names

    def _make(self, request: Request, name: bytes, mode: int, device: int = 0) -> Node:
        if name in request.node.entries:
            raise Refused(errno.EEXIST)
        gid = request.node.gid if request.node.mode & stat.S_ISGID else request.gid
        return self._tree.make(request.node, name, mode, request.uid, gid, device)

    def _create(self, request: Request) -> bytes:
        flags, mode, *_ = request.numbers("4I")
        (name,) = request.names(16)
        node = request.node.entries.get(name)
        if node is None:
            node = self._make(request, name, stat.S_IFREG | stat.S_IMODE(mode))
        elif flags & O_EXCL:
            raise Refused(errno.EEXIST)
        return self._entry(node) + _OPENED

    def _make_special(self, request: Request) -> bytes:
        mode, device, *_ = request.numbers("4I")
        return self._entry(self._make(request, request.names(16)[0], mode, device))

    def _make_directory(self, request: Request) -> bytes:
        mode, _ = request.numbers("II")
        return self._entry(self._make(request, request.names(8)[0], stat.S_IFDIR | stat.S_IMODE(mode)))

    def _make_symbolic_link(self, request: Request) -> bytes:
        name, target = request.names()
        node = self._make(request, name, stat.S_IFLNK | 0o777)
        self._tree.write(node, 0, target)
        # No program can sync it: file systems write it with its name.
        node.sync_data()
        return self._entry(node)

    def _link(self, request: Request) -> bytes:
        node = self._tree.nodes[request.numbers("Q")[0]]
        (name,) = request.names(8)
        if name in request.node.entries:
            raise Refused(errno.EEXIST)
        self._tree.link(request.node, name, node)
        return self._entry(node)

    def _unlink(self, request: Request) -> bytes:
        (name,) = request.names()
        if _entry_of(request.node, name).is_directory:
            raise Refused(errno.EISDIR)
        self._tree.unlink(request.node, name)
        return b""

    def _remove_directory(self, request: Request) -> bytes:
        (name,) = request.names()
        _check_removable_directory(_entry_of(request.node, name))
        self._tree.unlink(request.node, name)
        return b""

    def _rename(self, request: Request) -> bytes:
        return self._move(request, request.numbers("Q")[0], 0, request.names(8))

    def _rename_with_flags(self, request: Request) -> bytes:
        number, flags, _ = request.numbers("QII")
        return self._move(request, number, flags, request.names(16))

    def _move(self, request: Request, number: int, flags: int, names: list[bytes]) -> bytes:
        name, new_name = names
        to = self._tree.nodes[number]
        node, other = _entry_of(request.node, name), to.entries.get(new_name)
        if flags & RENAME_NOREPLACE and other is not None:
            raise Refused(errno.EEXIST)
        if flags & RENAME_EXCHANGE:
            other = _entry_of(to, new_name)
        elif other is not None and other.is_directory:
            _check_removable_directory(other)
        elif other is not None and node.is_directory:
            raise Refused(errno.ENOTDIR)
        self._tree.rename(request.node, name, to, new_name, exchange=bool(flags & RENAME_EXCHANGE))
        return b""

    # -- content

    def _read(self, request: Request) -> bytes:
        _, offset, size, *_ = request.numbers("QQI")
        return bytes(request.node.data[offset : offset + size])

    def _write(self, request: Request) -> bytes:
        _, offset, size, *_ = request.numbers("QQI")
        self._tree.write(request.node, offset, request.body[40 : 40 + size])
        return struct.pack("=II", size, 0)

    def _allocate(self, request: Request) -> bytes:
        _, offset, length, mode = request.numbers("QQQI")
        if mode & ~FALLOCATE_KEEP_SIZE:
            raise Refused(errno.EOPNOTSUPP)
        end = offset + length
        self._tree.allocate(request.node, end)
        if not mode and end > len(request.node.data):
            self._tree.resize(request.node, end)
        return b""

    def _sync(self, request: Request) -> bytes:
        self._tree.sync(request.node)
        return b""

    def _file_system_status(self, _: Request) -> bytes:
        blocks, free = self._tree.capacity // PAGE, self._tree.free // PAGE
        return _STATFS.pack(blocks, free, free, 2**20, 2**20, PAGE, 255, PAGE, 0)

    # -- listings

    def _open_directory(self, _: Request) -> bytes:
        self._next_listing += 1
        return struct.pack("=QII", self._next_listing, 0, 0)

    def _read_directory(self, request: Request) -> bytes:
        handle, offset, size, *_ = request.numbers("QQI")
        # What is removed or made while a program reads must not move the rest.
        if offset == 0:
            self._listings[handle] = list(request.node.entries.items())
        answer = bytearray()
        for index, (name, node) in enumerate(self._listings.get(handle, [])[offset:], offset + 1):
            head = struct.pack("=QQII", node.number, index, len(name), stat.S_IFMT(node.mode) >> 12)
            entry = (head + name).ljust((len(head) + len(name) + 7) // 8 * 8, b"\0")
            if len(answer) + len(entry) > size:
                break
            answer += entry
        return bytes(answer)

    def _release_directory(self, request: Request) -> bytes:
        self._listings.pop(request.numbers("Q")[0], None)
        return b""


#: Forget, interrupt, and forget many.
_WITHOUT_ANSWER = {2, 36, 42}

_OPENED = struct.pack("=QII", 0, KEEP_CACHE, 0)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def _entry_of(directory: Node, name: bytes) -> Node:
    node = directory.entries.get(name)
    if node is None:
        raise Refused(errno.ENOENT)
    return node


def _check_removable_directory(node: Node) -> None:
    if not node.is_directory:
        raise Refused(errno.ENOTDIR)
    if node.entries:
        raise Refused(errno.ENOTEMPTY)


def _attributes(node: Node) -> bytes:
    seconds = [moment // 10**9 for moment in node.times]
    parts = [moment % 10**9 for moment in node.times]
    size = len(node.data)
    links = 1 if node.is_directory else node.links
    owner = (node.mode, links, node.uid, node.gid, node.device, PAGE, 0)
    return _ATTRIBUTES.pack(node.number, size, node.allocated // 512, *seconds, *parts, *owner)


def _attributes_answer(node: Node) -> bytes:
    return struct.pack("=QII", VALID_SECONDS, 0, 0) + _attributes(node)
