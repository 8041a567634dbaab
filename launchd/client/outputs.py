"""The output of jobs at launchd's own server: an agent sends it, who may see the item reads it; part of `QueueServer`.

Owns the addresses, and the decoding of what the server says of the bytes.
"""

from urllib.parse import quote

import msgspec

from launchd.client.base import ClientBase
from launchd.client.errors import Refused, ServerBusy
from launchd.client.models.outputs import OutputPart, OutputPiece
from launchd.client.responses import OutputSent
from launchd.client.transport import decoded

#: The response header that says what the bytes are.
HEADER = "Launchd-Output"

_part_decoder = msgspec.json.Decoder(OutputPart)
_sent_decoder = msgspec.json.Decoder(OutputSent)


class OutputOperations(ClientBase):
    """Operations on the output of jobs. Launchd protocol: `capabilities().outputs` says whether the server has them."""

    def read_output(
        self, item_id: str, attempt: str = "", after: int = 0, wait_seconds: float = 0.0
    ) -> tuple[OutputPart, bytes]:
        """Return the output of an item after a position of an attempt, and what the server says of it.

        From the start of what is kept, where that position is not. Waits up to `wait_seconds` for more. The agent that
        has the job sends its output while a reader reads so.

        Raises:
            Refused: the server is W&B's or older, or knows no such item that the key may see.
        """
        if not self.capabilities().outputs:
            raise Refused(
                f"The server at {self.base_url} passes on no output: it is W&B's, or older than this program."
            )
        query = {"attempt": attempt, "after": after, "wait": wait_seconds}
        header, content = self.transport.read(_path(item_id), query, HEADER, wait_seconds)
        part = decoded(_part_decoder.decode, header.encode())
        if part is None:
            raise ServerBusy(f"The server at {self.base_url} sent something that is no output.")
        return part, content

    def send_output(self, item_id: str, agent_id: str, incarnation: str, piece: OutputPiece) -> float:
        """Send a piece of an output, as the process `incarnation` of an agent that has or had the item.

        Returns for how many seconds more is wanted. The same piece again does no harm.
        """
        query = {
            "agent": agent_id,
            "incarnation": incarnation,
            "attempt": piece.attempt,
            "start": piece.start,
            "size": piece.size,
            "last": int(piece.is_last),
        }
        answer = decoded(_sent_decoder.decode, self.transport.send(f"{_path(item_id)}/pieces", query, piece.content))
        if answer is None:
            raise ServerBusy(f"The server at {self.base_url} did not say that it took the output.")
        return answer.wanted_seconds


def _path(item_id: str) -> str:
    return f"launchd/outputs/{quote(item_id, safe='')}"
