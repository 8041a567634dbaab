"""What one watch of a cluster is about, as a worker says it and the process that watches reads it. Pure."""

from collections.abc import Iterator

import msgspec

from ipc.watch_service import MAX_SCOPE_BYTES
from workers.kubernetes.access import Access
from workers.kubernetes.discovery import Kind
from workers.kubernetes.names import AGENT_LABEL


class Scope(msgspec.Struct, frozen=True):
    """All objects of ``kind`` in ``namespace`` that are of the jobs of one agent, and their pods.

    ``agent`` is the agent's mark, see ``ipc.agent_mark``; the cluster is reached by ``access``.
    """

    access: Access
    namespace: str
    kind: Kind
    agent: str

    @property
    def selector(self) -> str:
        """The label selector for what is the agent's."""
        return f"{AGENT_LABEL}={self.agent}"

    def paths(self) -> Iterator[str]:
        """Yield the paths of what is watched."""
        yield f"/api/v1/namespaces/{self.namespace}/pods"
        yield self.kind.path(self.namespace)


_decoder: msgspec.json.Decoder[Scope] = msgspec.json.Decoder(Scope)


def scope_text(scope: Scope) -> str | None:
    """Return ``scope`` as a text, ``None`` for one that is too long to be passed on."""
    text = msgspec.json.encode(scope)
    return text.decode() if len(text) <= MAX_SCOPE_BYTES else None


def read_scope(text: str) -> Scope:
    """Return the scope in ``text``; raises ``msgspec.DecodeError``."""
    return _decoder.decode(text)
