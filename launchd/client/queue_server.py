"""The client of a queue server: a method per operation, frozen values in and out.

Composes the operations of `queues.py`, `items.py`, `agents.py`, `outputs.py`, `runs.py` and `accounts.py` into one
class, and has the names that callers import. It retries nothing but a push.
"""

from launchd.client.accounts import AccountOperations
from launchd.client.agents import AgentOperations
from launchd.client.base import QUEUE_PROJECT
from launchd.client.items import ItemOperations
from launchd.client.models.accounts import Viewer
from launchd.client.models.agents import (
    Agent,
    AgentCommands,
    AgentGpus,
    AgentIdentity,
    GpuKind,
    HeldByServer,
    HeldItem,
    Resumed,
    StopRequest,
)
from launchd.client.models.capabilities import Capabilities
from launchd.client.models.items import (
    Ack,
    Claim,
    ClaimedItem,
    Item,
    ItemAnswer,
    ItemReason,
    ItemReasons,
    ItemResult,
    ItemWarning,
    Report,
)
from launchd.client.models.outputs import OutputPart, OutputPiece
from launchd.client.models.queues import Queue, QueueDetail, QueueSettings
from launchd.client.models.runs import RunDetail, RunSource
from launchd.client.outputs import OutputOperations
from launchd.client.runs import RunOperations

__all__ = [
    "QUEUE_PROJECT",
    "Ack",
    "Agent",
    "AgentCommands",
    "AgentGpus",
    "AgentIdentity",
    "Capabilities",
    "Claim",
    "ClaimedItem",
    "GpuKind",
    "HeldByServer",
    "HeldItem",
    "Item",
    "ItemAnswer",
    "ItemReason",
    "ItemReasons",
    "ItemResult",
    "ItemWarning",
    "OutputPart",
    "OutputPiece",
    "Queue",
    "QueueDetail",
    "QueueServer",
    "QueueSettings",
    "Report",
    "Resumed",
    "RunDetail",
    "RunSource",
    "StopRequest",
    "Viewer",
]


class QueueServer(ItemOperations, AgentOperations, OutputOperations, RunOperations, AccountOperations):
    """The client of one queue server, W&B's or launchd's.

    `base_url` is its address (`http://HOST:PORT` or `https://HOST`), `api_key` the key sent with HTTP Basic, `timeout`
    the seconds to wait for a response, added to those that a waiting call asks the server to wait. `author` names the
    member of its team for whom a service account acts (W&B's clients: `WANDB_USERNAME`); it has no effect with other
    keys.

    Thread-safe: every thread has its own HTTP session. Any call may raise `ServerUnreachable`, `ServerBusy`,
    `Unauthorized` or `Refused`, and nothing else. Methods marked "launchd protocol" work at launchd's own server only:
    `capabilities().launchd_protocol` says whether this is one.
    """
