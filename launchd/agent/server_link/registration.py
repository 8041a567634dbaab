"""Registers the agent at the queue server: by which protocol, for which queues, as which agent, with which items."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from launchd.agent.events import EventQueue, Registered, RegistrationRefused
from launchd.agent.server_link.launchd_protocol import LaunchdProtocol
from launchd.agent.server_link.protocol import ServerProtocol
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.agent.server_link.wandb_protocol import WandbProtocol
from launchd.client.errors import Refused, Unauthorized, UnknownAgent
from launchd.client.queue_server import Agent, AgentIdentity, HeldItem, Queue, QueueServer, Resumed
from launchd.humanize import join_quoted


class RegistrationRequest(msgspec.Struct, frozen=True):
    """What to register as.

    ``entity`` is ``None`` for the key's default entity. ``public_config`` is shown to the users of the server.
    ``identity`` says which process this is, and ``remembered_id`` as which agent it, or the one before, was registered.
    """

    entity: str | None
    queue_names: tuple[str, ...]
    public_config: dict[str, Any]
    identity: AgentIdentity
    remembered_id: str | None = None


class RegistrationThread(threading.Thread):
    """Registers once, repeating it until the server accepts or the thread is told to end.

    The event ``Registered`` says that it is done; then ``registered`` is that very event, and ``protocol`` the protocol
    that the server speaks. Each refusal is an event ``RegistrationRefused``; then ``remembered`` is the agent before,
    where there is one and the server takes this process for it: it may report and hear stops all the same.
    """

    def __init__(
        self,
        server: QueueServer,
        request: RegistrationRequest,
        events: EventQueue,
        protocol: ServerProtocol | None,
        held: tuple[HeldItem, ...] = (),
        delay_seconds: float = 0.0,
    ) -> None:
        """``protocol`` is that of an earlier registration, ``None`` before the first."""
        super().__init__(name="registration", daemon=True)
        self.protocol = protocol
        self.registered: Registered | None = None
        self.remembered: Registered | None = None
        self.stopped = threading.Event()
        #: All items of the agent; the main thread sets the latest.
        self.held = held
        self._server = server
        self._request = request
        self._events = events
        self._caller = RetryingCaller(events, self.stopped)
        self._registration: Registration | None = None
        self._delay_seconds = delay_seconds

    def run(self) -> None:
        """Register, and say so."""
        try:
            self._caller.wait(self._delay_seconds)
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
        self._registration = self._registration or Registration(self._server, self.protocol, self._request)
        try:
            return self._registration.register(lambda: self.held)
        finally:
            self.remembered = self._registration.remembered


def choose_protocol(server: QueueServer) -> ServerProtocol:
    """Return the protocol that ``server`` speaks; raises ``QueueServerError`` where it does not answer."""
    return LaunchdProtocol(server) if server.capabilities().launchd_protocol else WandbProtocol(server)


class Registration:
    """One registration, and its repetitions until the server has answered all of it.

    An agent that was created stays the one to become, however often the rest has to be repeated.
    """

    def __init__(self, server: QueueServer, protocol: ServerProtocol, request: RegistrationRequest) -> None:
        #: The agent before, where it could be continued although its queues are refused.
        self.remembered: Registered | None = None
        self._server = server
        self._protocol = protocol
        self._request = request
        self._previous_ids = () if request.remembered_id is None else (request.remembered_id,)
        self._created_id: str | None = None

    def register(self, held: Callable[[], Sequence[HeldItem]]) -> Registered:
        """Register anew, or as the agent before; ``held`` returns all items of the agent.

        Raises:
            SecondIncarnation: another living process is the agent.
            Refused: a queue does not exist, or the server says no.
            QueueServerError: the server did not answer.
        """
        server, request = self._server, self._request
        capabilities = server.capabilities()
        entity = request.entity or _default_entity(server)
        try:
            queues = _find_queues(server, entity, request.queue_names)
        except Refused:
            self._continue_remembered(entity, held)
            raise
        for_team = _is_team(server, entity)
        if not capabilities.launch_agents:
            # A W&B server from before launch agents: it cannot show or stop the agent, and gives it items all the same.
            return Registered("", "", entity, request.queue_names, capabilities, for_team)
        agent, resumed = self._become_agent(entity, [queue.id for queue in queues], held)
        return Registered(agent.id, agent.name, entity, request.queue_names, capabilities, for_team, resumed)

    def _continue_remembered(self, entity: str, held: Callable[[], Sequence[HeldItem]]) -> None:
        """Continue the agent before, without queues: its jobs may run on, and something may be left to report."""
        remembered_id = self._request.remembered_id
        if self.remembered is not None or remembered_id is None:
            return
        try:
            self._protocol.resume_agent(remembered_id, self._request.identity, held(), ())
        except UnknownAgent:
            return
        self.remembered = Registered(remembered_id, "", entity, (), self._server.capabilities())

    def _become_agent(
        self, entity: str, queue_ids: Sequence[str], held: Callable[[], Sequence[HeldItem]]
    ) -> tuple[Agent, Resumed | None]:
        known = self._find_known(queue_ids)
        if known is not None:
            try:
                return known, self._protocol.resume_agent(known.id, self._request.identity, held(), ())
            except UnknownAgent:
                pass  # It was removed since it was looked up: there has to be another.
        agent = self._create(entity, queue_ids)
        try:
            return agent, self._protocol.resume_agent(agent.id, self._request.identity, held(), self._previous_ids)
        except UnknownAgent:
            self._created_id = None
            raise _forgotten(agent.id) from None

    def _find_known(self, queue_ids: Sequence[str]) -> Agent | None:
        """Return the agent before, unless the server forgot it, told it to end, or has it at other queues."""
        remembered_id = self._request.remembered_id
        agent = None if remembered_id is None or self._created_id else self._protocol.find_agent(remembered_id)
        if agent is None or agent.stop_polling or set(agent.queue_ids or ()) != set(queue_ids):
            return None
        return agent

    def _create(self, entity: str, queue_ids: Sequence[str]) -> Agent:
        if self._created_id is None:
            identity = self._request.identity
            config = self._request.public_config
            self._created_id = self._server.create_agent(
                entity, queue_ids, identity.hostname, config, identity.version, identity=identity
            )
        agent_id = self._created_id
        agent = self._server.agent(agent_id)
        if agent is None:
            self._created_id = None
            raise _forgotten(agent_id)
        return agent


def _forgotten(agent_id: str) -> Refused:
    return Refused(f"The server created agent {agent_id} and does not know it.")


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
        there = join_quoted(sorted(known)) or "none"
        lacking = "There is no queue" if len(missing) == 1 else "There are no queues"
        raise Refused(
            f"{lacking} {join_quoted(missing)} of entity {entity} at {server.base_url}. Its queues: {there}."
            " Correct `queues`, or create the queue with `launchd queue create`."
        )
    return [known[name] for name in dict.fromkeys(names)]


def _queues_by_name(server: QueueServer, entity: str) -> dict[str, Queue]:
    return {queue.name: queue for queue in server.queues(entity)}
