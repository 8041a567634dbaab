"""What the probe of GPUs says to the supervisor, and the pipes between the two.

The probe is a process of its own, for the libraries that it asks may hang. What it says is JSON. A sample may be longer
than what is written in one piece: a probe that is killed in the middle of one is the end of its pipe, and of nothing
else.
"""

from multiprocessing import connection

import msgspec

from ipc.gpus import Gpu


class ProbeSettings(msgspec.Struct, frozen=True):
    """What the probe is to do: look every ``seconds``; ``sysfs`` is where the kernel shows its devices."""

    seconds: float
    sysfs: str = "/sys"


class SeenGpu(msgspec.Struct, frozen=True):
    """One GPU at one moment.

    ``processes`` are those that compute on it. ``utilisation`` is in percent, ``memory_used`` in bytes, None where it
    is not known. ``problem`` says, as the end of a sentence, why it is not fit for jobs; it goes when that is over.
    ``faults`` are the numbers of the faults (NVIDIA's XID) that the driver has reported since the last sample, of those
    that are the GPU's and not a program's.
    """

    gpu: Gpu
    processes: tuple[int, ...] = ()
    utilisation: float | None = None
    memory_used: int | None = None
    problem: str | None = None
    faults: tuple[int, ...] = ()


class GpuSample(msgspec.Struct, frozen=True, tag="sample"):
    """All GPUs of the host at one moment; what was asked for up to ``answers`` is answered by it."""

    gpus: tuple[SeenGpu, ...]
    answers: int = 0


class ProbeFailed(msgspec.Struct, frozen=True, tag="failed"):
    """The probe cannot look, and leaves; ``why`` is a sentence."""

    why: str


Said = GpuSample | ProbeFailed

_decoder: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)
_encode = msgspec.json.encode


class ProbeEnd:
    """The probe's side."""

    def __init__(self, settings: ProbeSettings, asked: connection.Connection, said: connection.Connection) -> None:
        self.settings = settings
        self._asked = asked
        self._said = said

    def close_peer_ends(self) -> None:
        """Do nothing: the supervisor's ends stay with that."""

    def close(self) -> None:
        """Close this side."""
        self._asked.close()
        self._said.close()

    def say(self, said: Said) -> None:
        """Send to the supervisor; raises ``OSError`` when that is gone."""
        self._said.send_bytes(_encode(said))

    def fileno(self) -> int:
        """Return the descriptor that is readable when a sample is asked for, or the supervisor is gone."""
        return self._asked.fileno()

    def last_question(self) -> int | None:
        """Return the number of the last question that has come since, None for none; raises ``EOFError``."""
        last = None
        while self._asked.poll(0):
            last = int(self._asked.recv_bytes())
        return last


class ProbePeer:
    """The supervisor's side."""

    def __init__(self, asks: connection.Connection, hears: connection.Connection) -> None:
        self._asks = asks
        self._hears = hears

    def ask(self, number: int) -> None:
        """Ask for a sample at once; raises ``OSError`` when the probe is gone."""
        self._asks.send_bytes(str(number).encode())

    def fileno(self) -> int:
        """Return the descriptor that is readable when the probe has said something, or is gone."""
        return self._hears.fileno()

    def hear(self) -> Said:
        """Return what the probe says next.

        Raises:
            EOFError: it is gone.
            OSError: likewise.
            msgspec.DecodeError: it is not a message of this version.
        """
        return _decoder.decode(self._hears.recv_bytes())

    def close(self) -> None:
        """Close this side."""
        self._asks.close()
        self._hears.close()


def open_pipes(settings: ProbeSettings) -> tuple[ProbePeer, ProbeEnd]:
    """Return both sides of new pipes."""
    asked, asks = connection.Pipe(duplex=False)
    hears, said = connection.Pipe(duplex=False)
    return ProbePeer(asks, hears), ProbeEnd(settings, asked, said)
