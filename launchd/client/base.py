"""The base of all groups of operations: it sends one, and finds out what the server can do.

`queues.py`, `items.py`, `agents.py`, `runs.py` and `accounts.py` derive from it; `queue_server.py` composes them.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from launchd.client.errors import Refused, Unauthorized
from launchd.client.models.accounts import Viewer
from launchd.client.models.capabilities import Capabilities
from launchd.client.operations import accounts
from launchd.client.operations.operation import Root
from launchd.client.responses import Introspection, TypeInfo
from launchd.client.transport import Transport, encoded

T = TypeVar("T")

#: The project in which W&B keeps an entity's queues.
QUEUE_PROJECT = "model-registry"

#: Capabilities of a current W&B server.
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
    """The connection to a queue server: its address, the key, the transport."""

    def __init__(self, base_url: str, api_key: str, *, timeout: float = 20.0, author: str | None = None) -> None:
        self.transport = Transport(base_url, api_key, timeout, author)
        self.base_url = self.transport.base_url
        self._capabilities: Capabilities | None = None

    def close(self) -> None:
        """Drop idle connections. The object may be used again."""
        self.transport.close()

    def capabilities(self) -> Capabilities:
        """Return what the server can do, found once by introspection.

        A server that hides its schema counts as a current W&B server, as every server does for W&B's clients since
        0.26.0.
        """
        if self._capabilities is None:
            try:
                self._capabilities = _capabilities_from(self.transport.call(accounts.CAPABILITIES, {}))
            except Refused:
                self._capabilities = CURRENT_WANDB
        return self._capabilities

    def viewer(self) -> Viewer:
        """Return the owner of the key. `Unauthorized` also where there is none: W&B's server then answers null."""
        viewer = self._call(accounts.VIEWER)
        if viewer is None:
            raise Unauthorized(f"The server at {self.base_url} knows no user of this API key.")
        teams = tuple(team.name for team in viewer.teams.nodes) if viewer.teams else ()
        return Viewer(viewer.username, viewer.entity, teams)

    def _call(self, operation: Root[T], **variables: Any) -> T:
        return self.transport.call(operation, variables).result

    def _call_launchd(self, operation: Root[T], wait_seconds: float = 0.0, **values: Any) -> T:
        """Send a mutation of the launchd protocol, whose values are the fields of a single `input`."""
        return self.transport.call(operation, {"input": values}, wait_seconds).result


def as_json(value: Mapping[str, Any]) -> str:
    """Return a value of W&B's scalar JSONString: JSON inside a string."""
    return encoded(value).decode()


def _capabilities_from(found: Introspection) -> Capabilities:
    mutations = found.mutation.names() if found.mutation else set()
    return Capabilities(
        launch_agents="createLaunchAgent" in mutations,
        agent_config=_has(found.create_agent, "agentConfig"),
        fail_item="failRunQueueItem" in mutations,
        fail_details=_has(found.fail_item, "message"),
        item_warnings="updateRunQueueItemWarning" in mutations,
        push_priority=_has(found.push, "priority"),
        launchd_protocol="claimRunQueueItems" in mutations,
        queue_config="createDefaultResourceConfig" in mutations,
        item_by_id=_has(found.queue, "runQueueItem"),
        run_files={"upsertBucket", "createRunFiles"} <= mutations,
        artifact_memberships=_has(found.project, "artifactCollectionMembership"),
        push_key=_has(found.push, "idempotencyKey"),
        gpu_claims=_has(found.claim, "gpus"),
        find_items=_has(found.query, "findRunQueueItems"),
        agent_control="undrainLaunchAgent" in mutations,
        queue_control="setRunQueuePaused" in mutations,
        outputs=_has(found.watch, "seenOutputs"),
    )


def _has(kind: TypeInfo | None, field: str) -> bool:
    return kind is not None and field in kind.names()
