"""What all groups of operations share: sending one, and knowing what the server can do.

Owns the base class of `queues.py`, `agents.py`, `submissions.py`, `runs.py` and `accounts.py`; `queue_server.py` puts
them together.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from launchd.client.errors import Refused, Unauthorized
from launchd.client.models import Capabilities, Viewer
from launchd.client.operations import accounts
from launchd.client.operations.operation import Root
from launchd.client.responses import Introspection
from launchd.client.transport import Transport, encoded

T = TypeVar("T")

QUEUE_PROJECT = "model-registry"  # the project in which W&B keeps an entity's queues

CURRENT_WANDB: Capabilities = Capabilities(
    launch_agents=True,
    agent_config=True,
    fail_item=True,
    fail_details=True,
    item_warnings=True,
    push_priority=True,
    launchd_protocol=False,
    queue_config=True,
    item_by_id=True,
    run_files=True,
    artifact_memberships=True,
    push_key=False,
)


class ClientBase:
    """A queue server's address and key, and the way to send it an operation."""

    def __init__(self, base_url: str, api_key: str, *, timeout: float = 20.0, author: str | None = None) -> None:
        self.transport = Transport(base_url, api_key, timeout, author)
        self.base_url = self.transport.base_url
        self._capabilities: Capabilities | None = None

    def close(self) -> None:
        """Drop idle connections. The object may be used again."""
        self.transport.close()

    def capabilities(self) -> Capabilities:
        """What the server can do; asked once. A server that hides its schema is taken for a current W&B server,
        as W&B's own clients take every server since 0.26.0."""
        if self._capabilities is None:
            try:
                self._capabilities = _judged(self.transport.call(accounts.CAPABILITIES, {}))
            except Refused:
                self._capabilities = CURRENT_WANDB
        return self._capabilities

    def viewer(self) -> Viewer:
        """Whose key this is. `Unauthorized` also where the server knows nobody by it, which W&B's answers with null."""
        viewer = self._call(accounts.VIEWER)
        if viewer is None:
            raise Unauthorized(f"The server at {self.base_url} knows nobody by this API key.")
        teams = tuple(team.name for team in viewer.teams.nodes) if viewer.teams else ()
        return Viewer(viewer.username, viewer.entity, teams)

    def _call(self, operation: Root[T], **variables: Any) -> T:
        return self.transport.call(operation, variables).result

    def _send(self, operation: Root[T], wait_seconds: float = 0.0, **values: Any) -> T:
        """Send one of our own operations, which all take a single `input`."""
        return self.transport.call(operation, {"input": values}, wait_seconds).result


def as_json(value: Mapping[str, Any]) -> str:
    """W&B's scalar JSONString: JSON inside a string."""
    return encoded(value).decode()


def _judged(found: Introspection) -> Capabilities:
    mutations = found.mutation.names() if found.mutation else set()
    return Capabilities(
        launch_agents="createLaunchAgent" in mutations,
        agent_config=bool(found.create_agent and "agentConfig" in found.create_agent.names()),
        fail_item="failRunQueueItem" in mutations,
        fail_details=bool(found.fail_item and "message" in found.fail_item.names()),
        item_warnings="updateRunQueueItemWarning" in mutations,
        push_priority=bool(found.push and "priority" in found.push.names()),
        launchd_protocol="claimRunQueueItems" in mutations,
        queue_config="createDefaultResourceConfig" in mutations,
        item_by_id=bool(found.queue and "runQueueItem" in found.queue.names()),
        run_files={"upsertBucket", "createRunFiles"} <= mutations,
        artifact_memberships=bool(found.project and "artifactCollectionMembership" in found.project.names()),
        push_key=bool(found.push and "idempotencyKey" in found.push.names()),
    )
