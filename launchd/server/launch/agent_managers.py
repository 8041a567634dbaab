"""Who may ask an agent to leave: admins of its entity, and the user whose key registered it."""

from sqlalchemy import Connection

from launchd.server.errors import NotAllowed
from launchd.server.models import LaunchAgent, Role, Viewer
from launchd.server.store.accounts import principals
from launchd.server.store.launch import agents


def require_managed(connection: Connection, viewer: Viewer, agent_id: str) -> LaunchAgent:
    """The agent, if the viewer may ask it to leave.

    Raises:
        UnknownAgent: no such agent that the viewer may use.
        NotAllowed: the viewer is neither an admin of its entity, with a key of that role, nor its owner.
    """
    found = agents.require_agent(connection, viewer, agent_id)
    if found.owner_id != viewer.user_id and not _is_admin(connection, viewer, found.entity_name):
        raise NotAllowed(
            f"Agent {found.name} on host {found.hostname!r} was registered by another user: only that user and admins"
            f" of {found.entity_name!r}, with a key of role admin, may drain or stop it."
        )
    return found


def _is_admin(connection: Connection, viewer: Viewer, entity: str) -> bool:
    is_member = principals.find_entity(connection, viewer.managing(), entity) is not None
    return is_member and viewer.key_role == Role.ADMIN
