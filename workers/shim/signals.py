"""Signals to the shim, as a descriptor to wait on and numbers to look up.

Handlers only take notes; what a signal means is decided in the monitor's loop.
"""

import os
import signal
from contextlib import suppress
from types import FrameType

#: The worker's request to stop, as ``stop.json`` says. SIGTERM is left to the host, for its shutdown.
STOP_SIGNAL = signal.SIGUSR1

_NOTED = (signal.SIGCHLD, signal.SIGTERM, STOP_SIGNAL)
#: A shim has no terminal, and goes on without a reader or a worker. They are caught and not ignored,
#: for what is ignored would be so in the command too, while its handlers end with the execution.
_UNHEEDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGUSR2,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


class SignalInbox:
    """What signals this process received. One per process; it takes the handlers over."""

    def __init__(self) -> None:
        self._received: set[int] = set()
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (*_NOTED, *_UNHEEDED):
            signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def fileno(self) -> int:
        """Return the descriptor that is readable once a signal came since the last :meth:`clear`."""
        return self._reader

    def clear(self) -> None:
        """Make :meth:`fileno` wait for the next signal; what was received stays to be taken."""
        with suppress(BlockingIOError):
            os.read(self._reader, 4096)

    def take(self, number: signal.Signals) -> bool:
        """Return whether ``number`` came since it was last taken."""
        if number not in self._received:
            return False
        self._received.discard(number)
        return True

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._received.add(number)
