"""Keeps the fork server alive where this host has no process or descriptor to give.

``multiprocessing``'s fork server ends with the first fork, or accepted request, that the kernel refuses, and every
worker would count as lost with it. Here such a refusal is the answer to the one request. Runs in the fork server alone;
a worker, which is forked from it, has the interpreter's own functions again.
"""

import errno
import multiprocessing.forkserver
import multiprocessing.reduction
import os
import select
import socket
import time
from contextlib import suppress
from typing import Any

#: What the kernel answers when it has no process, descriptor or memory to give.
SHORTAGES = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOBUFS})

#: Seconds before the fork server looks at its requests again after it could not take one.
PAUSE_SECONDS = 0.1

#: Seconds that the rest of a request may take after its descriptors.
REQUEST_SECONDS = 1.0


class ForkGuard:
    """Stands between the fork server's loop and the kernel: what the loop takes for a reason to end is aborted instead.

    The loop passes over a request that was aborted (``ECONNABORTED``), and over nothing else.
    """

    def __init__(self) -> None:
        self._fork = os.fork
        self._accept = socket.socket.accept
        self._receive = multiprocessing.reduction.recvfds
        #: The descriptors of the request that is being served: where the worker reads, where it answers, and others.
        self._descriptors: list[int] = []

    def install(self) -> None:
        """Guard this process, the fork server."""
        os.register_at_fork(after_in_child=self.remove)

        def accept(listener: socket.socket) -> tuple[socket.socket, Any]:
            return self.accept(listener)

        os.fork = self.fork
        socket.socket.accept = accept  # type: ignore[assignment, method-assign]
        multiprocessing.reduction.recvfds = self.receive  # type: ignore[assignment]

    def remove(self) -> None:
        """Give the interpreter's functions back."""
        os.fork = self._fork
        socket.socket.accept = self._accept  # type: ignore[method-assign]
        multiprocessing.reduction.recvfds = self._receive

    def accept(self, listener: socket.socket) -> tuple[socket.socket, Any]:
        """Accept a request; one that cannot be taken now waits."""
        try:
            return self._accept(listener)
        except OSError as error:
            if error.errno in SHORTAGES:
                time.sleep(PAUSE_SECONDS)
                raise _aborted(error) from error
            raise

    def receive(self, connection: socket.socket, most: int) -> list[int]:
        """Return the descriptors of a request; the kernel leaves out those for which this process has no room."""
        data, descriptors, _, _ = socket.recv_fds(connection, 1, most)
        if not data or len(descriptors) % 256 != data[0]:
            _close(descriptors)
            raise ConnectionAbortedError(errno.ECONNABORTED, "a request came without its descriptors")
        self._descriptors = list(descriptors)
        return descriptors

    def fork(self) -> int:
        """Fork a worker; where that fails, its error number, negative, is the answer to the request."""
        try:
            return self._fork()
        except OSError as error:
            reader, writer, *_ = self._descriptors
            with suppress(OSError):
                # The supervisor says first what the worker is to do, and hears no answer if nothing takes that.
                select.select([reader], [], [], REQUEST_SECONDS)
                multiprocessing.forkserver.write_signed(writer, -(error.errno or errno.EAGAIN))
            _close(self._descriptors)
            raise _aborted(error) from error


def _aborted(error: OSError) -> ConnectionAbortedError:
    return ConnectionAbortedError(errno.ECONNABORTED, str(error))


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
