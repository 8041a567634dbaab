"""The files of a lossy disk, and what a power cut leaves of them.

What a program wrote is at once visible, and safe only once it was synced: the bytes of a file by a sync of the file, a
name (made, moved or removed) by a sync of its directory, a move between two directories by a sync of either. What is
older than ``WRITEBACK_SECONDS`` counts as synced, because a kernel writes it by then. Of the rest a cut keeps a choice:
nothing, the names in their order, or any of them; and of the bytes none, all, or any pages. Owners, modes and times are
safe at once.
"""

import itertools
import stat
import time
from collections.abc import Callable, Iterator
from random import Random

import msgspec

PAGE = 4096

#: A kernel writes what is older than this by itself (Linux: vm.dirty_expire_centisecs), in seconds.
WRITEBACK_SECONDS = 30.0

#: How a cut chooses among the names that were not synced: none is kept; all up to some moment, as by a file system
#: with a journal, for which a sync of anything covers all names before it; or any of them.
NAME_CHOICES = ("none", "journal", "any")

#: How a cut chooses among the bytes of each file that were not synced.
DATA_CHOICES = ("none", "all", "pages")


class NoRoom(Exception):
    """The disk is full."""


class Node:
    """A file, directory, symbolic link, socket or pipe.

    Attributes:
        number: its number, never used again.
        mode: type and permissions, as in ``stat``.
        uid: the owner.
        gid: the group.
        device: the device number of a special file.
        times: of the last access, change of the content, and change of the status, in nanoseconds since the epoch.
        data: the content of a file; the target of a symbolic link.
        entries: the names in a directory.
        links: how many names it has.
        lookups: how many references the kernel holds.
        allocated: the bytes that it takes on the disk.
    """

    def __init__(self, number: int, mode: int, uid: int, gid: int, device: int = 0) -> None:
        self.number = number
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.device = device
        self.times = [time.time_ns()] * 3
        self.data = bytearray()
        self.entries: dict[bytes, Node] = {}
        self.links = 0
        self.lookups = 0
        self.allocated = 0
        #: What the disk holds: its names; its size, and the content of those pages that were written since.
        self._safe_entries: dict[bytes, Node] = {}
        self._safe_size = 0
        self._safe_pages: dict[int, bytes] = {}
        self._dirty_since: float | None = None

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    def touch(self, *, content: bool = True) -> None:
        """Note a change of the status, and of the content, at this moment."""
        now = time.time_ns()
        self.times[2] = now
        if content:
            self.times[1] = now

    def write(self, offset: int, data: bytes | memoryview, now: float) -> None:
        """Write ``data`` at ``offset``, with zeros before it where the file was shorter."""
        end = offset + len(data)
        self._begin_change(now)
        self._save_pages(min(offset, len(self.data)), end)
        if offset > len(self.data):
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset:end] = data
        self.touch()

    def resize(self, size: int, now: float) -> None:
        """Cut the file to ``size`` bytes, or append zeros up to it."""
        self._begin_change(now)
        if size < len(self.data):
            self._save_pages(size, len(self.data))
            del self.data[size:]
        else:
            self.data.extend(bytes(size - len(self.data)))
        self.touch()

    def sync_data(self) -> None:
        """Make the content safe."""
        self._safe_size = len(self.data)
        self._safe_pages.clear()
        self._dirty_since = None

    def set_safe_entry(self, name: bytes, node: "Node | None") -> None:
        """Make ``name`` mean ``node`` on the disk, too; ``None``: there is no such name."""
        if node is None:
            self._safe_entries.pop(name, None)
        else:
            self._safe_entries[name] = node

    def lose_data(self, choice: str, random: Random, now: float) -> None:
        """Keep of the bytes that were not synced what ``choice``, one of ``DATA_CHOICES``, says."""
        self._expire(now)
        if self._dirty_since is not None:
            kept = self._safe_content() if choice == "none" else self.data
            if choice == "pages":
                kept = self._some_pages(random)
            self.data = kept
        self.sync_data()

    def begin_anew(self) -> None:
        """Have only the names that are safe, and no references from the kernel."""
        self.entries = dict(self._safe_entries)
        self.links = 0
        self.lookups = 0

    def _begin_change(self, now: float) -> None:
        self._expire(now)
        if self._dirty_since is None:
            self._dirty_since = now

    def _expire(self, now: float) -> None:
        if self._dirty_since is not None and now - self._dirty_since > WRITEBACK_SECONDS:
            self.sync_data()

    def _save_pages(self, begin: int, end: int) -> None:
        for page in range(begin // PAGE, (end + PAGE - 1) // PAGE):
            if page not in self._safe_pages:
                safe_end = min((page + 1) * PAGE, self._safe_size)
                self._safe_pages[page] = bytes(self.data[page * PAGE : safe_end])

    def _safe_content(self) -> bytearray:
        content = self.data[: self._safe_size]
        content.extend(bytes(self._safe_size - len(content)))
        for page, safe in self._safe_pages.items():
            content[page * PAGE : page * PAGE + len(safe)] = safe
        return content

    def _some_pages(self, random: Random) -> bytearray:
        """Return the safe content with some of the later pages and one of the later sizes: zeros where neither is."""
        content = self._safe_content()
        sizes = (self._safe_size, len(self.data), random.randint(*sorted((self._safe_size, len(self.data)))))
        size = random.choice(sizes)
        del content[size:]
        content.extend(bytes(size - len(content)))
        for page in sorted(self._safe_pages):
            if random.random() < 0.5:
                later = self.data[page * PAGE : min((page + 1) * PAGE, size)]
                content[page * PAGE : page * PAGE + len(later)] = later
        return content


class NameChange(msgspec.Struct, frozen=True, eq=False):
    """Names that change together, at ``at`` (monotonic seconds): of each a directory, the name, and what it then is."""

    at: float
    edits: tuple[tuple[Node, bytes, Node | None], ...]

    @property
    def keys(self) -> set[tuple[int, bytes]]:
        """The names as directory's number and name."""
        return {(directory.number, name) for directory, name, _ in self.edits}

    def touches(self, directory: Node) -> bool:
        """Return whether a name in ``directory`` changes."""
        return any(parent is directory for parent, _, _ in self.edits)

    def make_safe(self) -> None:
        """Write it to the disk."""
        for directory, name, node in self.edits:
            directory.set_safe_entry(name, node)


class Tree:
    """All files of a lossy disk of ``capacity`` bytes; ``uid`` and ``gid`` own its root."""

    def __init__(self, uid: int, gid: int, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._numbers = itertools.count(1)
        self._clock = clock
        self.root = Node(next(self._numbers), stat.S_IFDIR | 0o755, uid, gid)
        self.nodes = {self.root.number: self.root}
        self.capacity = capacity
        self.used = 0
        self._full_at = capacity
        #: The changes of names that are not safe, in order, and how many of the first a file system's journal has.
        self._changes: list[NameChange] = []
        self._journalled = 0

    # -- names

    def make(self, directory: Node, name: bytes, mode: int, uid: int, gid: int, device: int = 0) -> Node:
        """Make a node with a name in ``directory``, where there is none of that name."""
        node = Node(next(self._numbers), mode, uid, gid, device)
        self.nodes[node.number] = node
        self._change((directory, name, node))
        return node

    def link(self, directory: Node, name: bytes, node: Node) -> None:
        """Give ``node`` one more name."""
        self._change((directory, name, node))

    def unlink(self, directory: Node, name: bytes) -> None:
        """Remove a name."""
        self._change((directory, name, None))

    def rename(self, directory: Node, name: bytes, to: Node, new_name: bytes, *, exchange: bool = False) -> None:
        """Move a name, in one step with the removal of what had the new one; or exchange the two."""
        node, other = directory.entries[name], to.entries.get(new_name)
        if node is not other:
            self._change((directory, name, other if exchange else None), (to, new_name, node))

    def forget(self, node: Node, lookups: int) -> None:
        """Drop references of the kernel; a node without references and names gives its room back."""
        node.lookups -= lookups
        self._drop_unused(node)

    # -- content

    def write(self, node: Node, offset: int, data: bytes | memoryview) -> None:
        """Write into a file; raises :class:`NoRoom`."""
        self.allocate(node, offset + len(data))
        node.write(offset, data, self._clock())

    def resize(self, node: Node, size: int) -> None:
        """Set the size of a file; raises :class:`NoRoom`."""
        if size >= len(node.data):
            self.allocate(node, size)
        node.resize(size, self._clock())
        if size < node.allocated:
            self._set_allocated(node, _whole_pages(size))

    def allocate(self, node: Node, end: int) -> None:
        """Set room aside for the first ``end`` bytes of a file; raises :class:`NoRoom`."""
        wanted = _whole_pages(end)
        if wanted <= node.allocated:
            return
        if self.used + wanted - node.allocated > self._full_at:
            raise NoRoom
        self._set_allocated(node, wanted)

    def fill(self) -> None:
        """Leave no room."""
        self._full_at = self.used

    def empty(self) -> None:
        """Give the room back."""
        self._full_at = self.capacity

    @property
    def free(self) -> int:
        """How many bytes are free."""
        return max(0, self._full_at - self.used)

    # -- what is safe

    def sync(self, node: Node) -> None:
        """Make the content of a file safe, or the names in a directory."""
        self._journalled = len(self._changes)
        if node.is_directory:
            self._sync_names(node)
        else:
            node.sync_data()

    def cut(self, seed: int) -> None:
        """Lose what is not safe, but for what ``seed`` chooses, as a power cut does; the kernel then knows no node."""
        random = Random(f"cut {seed}")
        self._expire_changes()
        names = random.choice(NAME_CHOICES)
        for change in list(self._kept_changes(names, random)):
            change.make_safe()
        self._changes.clear()
        self._journalled = 0
        only = random.choice((None, "none"))
        for node in self._begin_anew():
            node.lose_data(only or random.choice(DATA_CHOICES), random, self._clock())
            node.allocated = _whole_pages(len(node.data))
        self.used = sum(node.allocated for node in self.nodes.values())

    def _change(self, *edits: tuple[Node, bytes, Node | None]) -> None:
        self._expire_changes()
        self._changes.append(NameChange(self._clock(), edits))
        removed = []
        for directory, name, node in edits:
            if (before := directory.entries.pop(name, None)) is not None:
                before.links -= 1
                removed.append(before)
            if node is not None:
                directory.entries[name] = node
                node.links += 1
                node.touch(content=False)
            directory.touch()
        for node in removed:
            self._drop_unused(node)

    def _expire_changes(self) -> None:
        old = self._clock() - WRITEBACK_SECONDS
        expired = sum(1 for _ in itertools.takewhile(lambda change: change.at < old, self._changes))
        for change in self._changes[:expired]:
            change.make_safe()
        del self._changes[:expired]
        self._journalled = max(0, self._journalled - expired)

    def _sync_names(self, directory: Node) -> None:
        """Make the changes in a directory safe, and those before them that changed the same names."""
        keys: set[tuple[int, bytes]] = set()
        safe: list[NameChange] = []
        for change in reversed(self._changes):
            if change.touches(directory) or keys & change.keys:
                keys |= change.keys
                safe.append(change)
        for change in reversed(safe):
            change.make_safe()
        done = set(map(id, safe))
        self._changes = [change for change in self._changes if id(change) not in done]
        self._journalled = len(self._changes)

    def _kept_changes(self, choice: str, random: Random) -> Iterator[NameChange]:
        if choice == "none":
            return
        if choice == "journal":
            yield from self._changes[: random.randint(self._journalled, len(self._changes))]
            return
        lost: set[tuple[int, bytes]] = set()
        for change in self._changes:
            # What builds on a change that is lost is lost with it.
            if random.random() < 0.5 and not lost & change.keys:
                yield change
            else:
                lost |= change.keys

    def _begin_anew(self) -> list[Node]:
        """Rebuild the tree from the names that are safe; returns its nodes."""
        self.nodes = {}
        self.root.begin_anew()
        reached = [self.root]
        self.nodes[self.root.number] = self.root
        for directory in reached:
            for node in directory.entries.values():
                if node.number not in self.nodes:
                    node.begin_anew()
                    self.nodes[node.number] = node
                    reached.append(node)
                node.links += 1
        return reached

    def _drop_unused(self, node: Node) -> None:
        if node.lookups <= 0 and node.links <= 0 and node is not self.root:
            self.used -= node.allocated
            node.allocated = 0
            self.nodes.pop(node.number, None)

    def _set_allocated(self, node: Node, size: int) -> None:
        self.used += size - node.allocated
        node.allocated = size


def _whole_pages(size: int) -> int:
    return (size + PAGE - 1) // PAGE * PAGE
