"""``python -m benchmarks.faults.lossy_disk MOUNT_POINT BYTES``: serve a lossy disk, as standard input says.

Each line of it is a command, answered with the same line when it is done; its end unmounts the disk:

``mount``     mount the disk, with the files that it has
``cut SEED``  lose what is not safe, and answer no request any more: those who wait for one wait on
``end``       end those waits with an error, and unmount
``fill``      leave no room
``empty``     give the room back
"""

import os
import select
import sys
from pathlib import Path

from benchmarks.faults.lossy_disk.fuse import Connection
from benchmarks.faults.lossy_disk.tree import Tree


class Disk:
    """The tree and its mount, if it is mounted."""

    def __init__(self, mount_point: Path, capacity: int) -> None:
        self._mount_point = mount_point
        self._tree = Tree(os.geteuid(), os.getegid(), capacity)
        self._connection: Connection | None = None
        self._has_power = True

    def run(self) -> None:
        """Serve until standard input ends."""
        while True:
            served = [self._connection] if self._connection is not None and self._has_power else []
            ready, _, _ = select.select([sys.stdin.fileno(), *served], [], [])
            if sys.stdin.fileno() in ready:
                line = os.read(sys.stdin.fileno(), 100).decode()
                if not line:
                    break
                print(self._do(*line.split()), flush=True)
            elif served and not served[0].serve_one():
                self._end()
        self._end()

    def _do(self, command: str, *arguments: str) -> str:
        match command:
            case "mount":
                try:
                    self._connection = Connection(self._tree, self._mount_point)
                except OSError as error:
                    return f"{error}"
                self._has_power = True
            case "cut":
                self._has_power = False
                self._tree.cut(int(arguments[0]))
            case "end":
                self._end()
            case "fill":
                self._tree.fill()
            case _:
                self._tree.empty()
        return command

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


if __name__ == "__main__":
    Disk(Path(sys.argv[1]), int(sys.argv[2])).run()
