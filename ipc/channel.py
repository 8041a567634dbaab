"""Two private multiprocessing queues between the supervisor and one worker.

One writer and one reader each, so no lock: the lock of a shared queue stays
held for ever when its holder is killed. Sends are synchronous (no feeder
thread), so what was sent before a death is there to be read.
"""

import select
from multiprocessing import connection
from multiprocessing.context import assert_spawning
from multiprocessing.queues import SimpleQueue
from typing import Any

from ipc.messages import Command, Event, decode_command, decode_event, encode


class ChannelClosed(Exception):
    """The other side is gone."""


class PrivateQueue(SimpleQueue[bytes]):
    """A ``multiprocessing`` queue of bytes with exactly one writer and one reader.

    Unlike its base class it neither locks nor pickles: a reader never unpickles
    bytes of a writer.
    """

    def __init__(self) -> None:
        self._reader, self._writer = connection.Pipe(duplex=False)

    def __getstate__(self) -> Any:
        assert_spawning(self)
        return self._reader, self._writer

    def __setstate__(self, state: Any) -> None:
        self._reader, self._writer = state

    def put(self, obj: bytes) -> None:
        """Write ``obj`` in one piece; raises :class:`ChannelClosed` when there is no reader."""
        try:
            self._writer.send_bytes(obj)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def get(self) -> bytes:
        """Return the next bytes, waiting for them; raises :class:`ChannelClosed` when there is no writer any more."""
        try:
            return self._reader.recv_bytes()
        except (EOFError, OSError) as error:
            raise ChannelClosed(str(error)) from error

    def ready(self) -> bool:
        """Return whether :meth:`get` would answer (or raise) at once."""
        return self._reader.poll(0)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with the next bytes."""
        return self._reader.fileno()

    def has_room(self) -> bool:
        """Return whether :meth:`put` of a message would not wait: a pipe that is writable takes one in one piece."""
        poll = select.poll()
        poll.register(self._writer.fileno(), select.POLLOUT)
        return bool(poll.poll(0))

    def keep_reader(self) -> None:
        """Close this process's writing end, so that the other's death is seen."""
        self._writer.close()

    def keep_writer(self) -> None:
        """Close this process's reading end."""
        self._reader.close()


class WorkerEnd:
    """The worker's side: commands come in, events go out."""

    def __init__(self, commands: PrivateQueue, events: PrivateQueue) -> None:
        self.commands = commands
        self.events = events

    def close_peer_ends(self) -> None:
        """Close the ends that belong to the supervisor; called once in the worker."""
        self.commands.keep_reader()
        self.events.keep_writer()

    def send(self, event: Event) -> None:
        """Send ``event``; raises :class:`ChannelClosed` when the supervisor is gone."""
        self.events.put(encode(event))

    def receive(self) -> Command:
        """Return the next command; raises :class:`ChannelClosed` when the supervisor is gone."""
        return decode_command(self.commands.get())

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with the next command."""
        return self.commands.fileno()


class SupervisorEnd:
    """The supervisor's side: commands go out, events come in."""

    def __init__(self, commands: PrivateQueue, events: PrivateQueue) -> None:
        self.commands = commands
        self.events = events

    def close_peer_ends(self) -> None:
        """Close the ends that belong to the worker; called once it has been started."""
        self.commands.keep_writer()
        self.events.keep_reader()

    def send(self, command: Command) -> None:
        """Send ``command``; raises :class:`ChannelClosed` when the worker is gone, ``CannotEncode`` for a wrong one."""
        self.commands.put(encode(command))

    def has_room(self) -> bool:
        """Return whether :meth:`send` would not wait for the worker to read what was sent before."""
        return self.commands.has_room()

    def receive(self) -> Event | None:
        """Return the next event that is already there, or ``None``.

        Raises:
            ChannelClosed: the worker is gone and everything it sent was read.
            MalformedMessage: the worker sent something else.
        """
        if not self.events.ready():
            return None
        return decode_event(self.events.get())

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with the next event or the worker's death."""
        return self.events.fileno()

    def close(self) -> None:
        """Close both ends."""
        self.commands.close()
        self.events.close()


def open_channel() -> tuple[SupervisorEnd, WorkerEnd]:
    """Return both sides of a new channel."""
    commands, events = PrivateQueue(), PrivateQueue()
    return SupervisorEnd(commands, events), WorkerEnd(commands, events)
