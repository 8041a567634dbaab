"""A store of the queue server with a user and a queue, for what the server's statements do."""

from sqlalchemy import Connection

from launchd.server.models import AgentIdentity, EntityRecord, KeyRole, LaunchAgent, Queue, Viewer
from launchd.server.store.accounts import accounts, api_keys, principals
from launchd.server.store.launch import agents, items, leases, queues
from launchd.server.store.launch.demands import NONE
from launchd.server.store.launch.fitting import Gpus
from launchd.server.store.launch.taking import Lease


class LaunchStore:
    """The tables behind a connection, with one queue of the user ``me``."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        _, key = api_keys.issue(connection, accounts.first_user(connection, "me"), "key", KeyRole.ADMIN)
        viewer = api_keys.viewer_of_key(connection, api_keys.digest_of(key))
        assert viewer is not None
        self.viewer: Viewer = viewer
        self._entity: EntityRecord = principals.require_entity(connection, viewer, "me")
        project, _ = principals.ensure_project(connection, self._entity, "p")
        queue_id = queues.create_queue(connection, viewer, project, "q", {})
        self._queue: Queue = queues.require_queue_by_id(connection, viewer, queue_id)

    def add_agent(self, host: str) -> str:
        """Register an agent of the queue; returns its id."""
        return agents.create_agent(
            self.connection,
            self.viewer,
            self._entity,
            [self._queue.id],
            hostname=host,
            config=None,
            version=None,
            identity=AgentIdentity(incarnation="i"),
        )

    def agent(self, agent: str) -> LaunchAgent:
        """Return an agent as it is."""
        return agents.require_agent(self.connection, self.viewer, agent)

    def push(self, demand: str = NONE) -> str:
        """Append an item that asks for the GPUs of ``demand``; returns its id."""
        given = {"priority": 2, "is_scheduler": False, "demand": demand}
        return items.push(self.connection, self._queue, "{}", None, self.viewer.user_id, **given)

    def claim(self, agent: str, claim_id: str, count: int = 1, gpus: Gpus | None = None) -> list[str]:
        """Lease items to an agent; returns their ids."""
        lease = Lease(viewer=self.viewer, agent_id=agent, claim_id=claim_id, seconds=60.0)
        wanted = leases.Capacity(items=count, schedulers=0)
        claimed = leases.claim(self.connection, self.agent(agent), wanted, lease, gpus)
        return [item.item_id for item in claimed.items]
