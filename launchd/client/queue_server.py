"""One queue server, as the rest of the program sees it: a method per operation, values in and values out.

Owns nothing but the whole: queues, submissions and the agent's side in one object, and the names callers import. It
repeats nothing but a push, and knows neither jobs nor workers.
"""

from launchd.client.accounts import AccountOperations
from launchd.client.agents import AgentOperations
from launchd.client.base import QUEUE_PROJECT
from launchd.client.items import ItemOperations
from launchd.client.models import (
    Ack,
    Agent,
    AgentCommands,
    Capabilities,
    Claim,
    ClaimedItem,
    Item,
    ItemWarning,
    Queue,
    QueueDetail,
    QueueSettings,
    Report,
    RunDetail,
    RunSource,
    StopRequest,
    Viewer,
)
from launchd.client.runs import RunOperations

__all__ = [
    "QUEUE_PROJECT",
    "Ack",
    "Agent",
    "AgentCommands",
    "Capabilities",
    "Claim",
    "ClaimedItem",
    "Item",
    "ItemWarning",
    "Queue",
    "QueueDetail",
    "QueueServer",
    "QueueSettings",
    "Report",
    "RunDetail",
    "RunSource",
    "StopRequest",
    "Viewer",
]


class QueueServer(ItemOperations, AgentOperations, RunOperations, AccountOperations):
    """One W&B-compatible queue server, ours included.

    `base_url` is its address (`http://HOST:PORT` or `https://HOST`), `api_key` the key sent with HTTP Basic, `timeout`
    the seconds to wait for an answer, on top of the seconds that a waiting call asks the server to wait. `author` names
    the member of its team for whom a service account acts (W&B's clients: `WANDB_USERNAME`); other keys speak for their
    owner alone.

    Thread-safe: every thread has its own HTTP session. Any call may raise `ServerUnreachable`, `ServerBusy`,
    `Unauthorized` or `Refused`, and nothing else. "Native" operations exist on our own server only, and
    `capabilities().native` says whether this is one.
    """
