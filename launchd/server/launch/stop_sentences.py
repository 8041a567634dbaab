"""What becomes of an item that is asked to stop, as a sentence that is true when it is said."""

from sqlalchemy import Connection

from launchd.server.models import Item, LaunchAgent, Viewer
from launchd.server.store.launch import agents
from launchd.server.store.launch.states import ENDED, HELD


def stop_sentence(connection: Connection, viewer: Viewer, before: Item, state: str, timeout_seconds: float) -> str:
    """The sentence for an item that was read as `before` and is in `state` after the request."""
    if before.state in ENDED:
        return f"The item had ended already: {before.state.lower()}."
    if state in ENDED:
        return f"The item has ended: {state.lower()}."
    if state not in HELD:
        return "The item waits in its queue."
    holder = agents.find_agent(connection, viewer, before.agent_id) if before.agent_id else None
    return "The stop is noted. " + (_of_holder(holder, timeout_seconds) if holder else "No agent is known to have it.")


def _of_holder(holder: LaunchAgent, timeout_seconds: float) -> str:
    where = f"The agent that has the item, on host {holder.hostname!r},"
    if holder.status == agents.KILLED:
        return f"{where} has left: the job is stopped when that agent is started again."
    if not agents.is_living(holder, timeout_seconds):
        return (
            f"{where} has not been heard for {holder.silent_seconds:.0f} s: the job is stopped when it is heard again."
        )
    return f"{where} is told, and will report the end."
