"""Registers the agent at the queue server: by which protocol, for which queues, as which agent."""

import socket
import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from launchd import __version__
from launchd.agent.events import EventQueue, Registered, RegistrationRefused
from launchd.agent.server_link.launchd_protocol import LaunchdProtocol
from launchd.agent.server_link.protocol import ServerProtocol
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.agent.server_link.wandb_protocol import WandbProtocol
from launchd.client.errors import Refused, Unauthorized
from launchd.client.queue_server import Agent, Queue, QueueServer


class RegistrationRequest(msgspec.Struct, frozen=True):
    """What to register as.

    ``entity`` is ``None`` for the key's default entity. ``public_config`` is shown to the users of the server.
    ``remembered_id`` is the id of the agent before a restart, and ``known_items`` are the items of the active jobs:
    what else is leased to that agent goes back to its queue.
    """

    entity: str | None
    queue_names: tuple[str, ...]
    public_config: dict[str, Any]
    version: str
    remembered_id: str | None = None
    known_items: tuple[str, ...] = ()


class RegistrationThread(threading.Thread):
    """Registers once, repeating it until the server accepts or the thread is told to end.

    The event ``Registered`` says that it is done; then ``registered`` is that very event, and ``protocol`` the protocol
    that the server speaks. Each refusal is an event ``RegistrationRefused``.
    """

    def __init__(
        self, server: QueueServer, request: RegistrationRequest, events: EventQueue, protocol: ServerProtocol | None
    ) -> None:
        """``protocol`` is that of an earlier registration, ``None`` before the first."""
        super().__init__(name="registration", daemon=True)
        self.protocol = protocol
        self.registered: Registered | None = None
        self.stopped = threading.Event()
        self._server = server
        self._request = request
        self._events = events
        self._caller = RetryingCaller(events, self.stopped)

    def run(self) -> None:
        """Register, and say so."""
        try:
            registered = self._register()
        except Stopped:
            return
        if not self.stopped.is_set():
            self.registered = registered
            self._events.put(registered)

    def _register(self) -> Registered:
        while True:
            try:
                return self._caller.retry_refusals(self._register_once, final=(Refused, Unauthorized))
            except (Refused, Unauthorized) as error:
                self._events.put(RegistrationRefused(str(error)))
                self._caller.wait_for_correction()

    def _register_once(self) -> Registered:
        self.protocol = self.protocol or choose_protocol(self._server)
        return register(self._server, self.protocol, self._request)


def choose_protocol(server: QueueServer) -> ServerProtocol:
    """Return the protocol that ``server`` speaks; raises ``QueueServerError`` where it does not answer."""
    return LaunchdProtocol(server) if server.capabilities().launchd_protocol else WandbProtocol(server)


def default_version() -> str:
    """Return the version that agents report: ``launchd@`` and the package's."""
    return f"launchd@{__version__}"


def register(server: QueueServer, protocol: ServerProtocol, request: RegistrationRequest) -> Registered:
    """Register anew, or as the agent before a restart.

    Raises:
        Refused: a queue does not exist, or the server says no.
        QueueServerError: the server did not answer.
    """
    capabilities = server.capabilities()
    entity = request.entity or _default_entity(server)
    queues = _find_queues(server, entity, request.queue_names)
    for_team = _is_team(server, entity)
    if not capabilities.launch_agents:
        # A W&B server from before launch agents: it cannot show or stop the agent, and gives it items all the same.
        return Registered("", "", entity, request.queue_names, capabilities, for_team)
    agent = _resume(protocol, request, queues) or _create(server, request, entity, queues)
    return Registered(agent.id, agent.name, entity, request.queue_names, capabilities, for_team)


def _default_entity(server: QueueServer) -> str:
    entity = server.viewer().entity
    if not entity:
        raise Refused("The API key has no default entity. Name one with --entity or in the configuration.")
    return entity


def _is_team(server: QueueServer, entity: str) -> bool:
    try:
        return server.is_team(entity)
    except Refused:
        # Only a warning depends on it.
        return False


def _find_queues(server: QueueServer, entity: str, names: Sequence[str]) -> list[Queue]:
    known = _queues_by_name(server, entity)
    if not known and "default" in names:
        # As W&B's agent does for an entity without any queue.
        server.create_queue(entity, "default", prioritization="DISABLED")
        known = _queues_by_name(server, entity)
    missing = [name for name in names if name not in known]
    if missing:
        there = ", ".join(sorted(known)) or "none"
        lacking = "There is no queue" if len(missing) == 1 else "There are no queues"
        raise Refused(
            f"{lacking} {', '.join(missing)} of entity {entity} at {server.base_url}. Its queues: {there}."
            " Correct `queues`, or create the queue with `launchd queue create`."
        )
    return [known[name] for name in dict.fromkeys(names)]


def _queues_by_name(server: QueueServer, entity: str) -> dict[str, Queue]:
    return {queue.name: queue for queue in server.queues(entity)}


def _resume(protocol: ServerProtocol, request: RegistrationRequest, queues: Sequence[Queue]) -> Agent | None:
    if request.remembered_id is None:
        return None
    return protocol.resume_agent(request.remembered_id, [queue.id for queue in queues], request.known_items)


def _create(server: QueueServer, request: RegistrationRequest, entity: str, queues: Sequence[Queue]) -> Agent:
    agent_id = server.create_agent(
        entity, [queue.id for queue in queues], socket.gethostname(), request.public_config, request.version
    )
    agent = server.agent(agent_id)
    if agent is None:
        raise Refused(f"The server created agent {agent_id} and does not know it.")
    return agent
