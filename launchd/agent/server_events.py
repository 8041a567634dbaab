"""Acts on what the threads of the server link tell: how the agent stands with its queue server, and of its items.

Decides which part of the agent an event is for; what becomes of a job is the job controller's. Main thread only.
"""

from launchd.agent.agent_registration import AgentRegistration
from launchd.agent.configuration import Configuration
from launchd.agent.delivery_events import DeliveryEvents
from launchd.agent.errors import CannotStart
from launchd.agent.events import (
    Acknowledged,
    Claimed,
    Delivered,
    DrainTakenBack,
    ItemEvent,
    ItemsUnknown,
    LinkEvent,
    OutputWanted,
    Polled,
    QueueError,
    Registered,
    RegistrationLost,
    RegistrationRefused,
    ServerContact,
    ServerEvent,
    StopRequested,
    Undeliverable,
)
from launchd.agent.job_controller import JobController
from launchd.agent.mode import AgentMode
from launchd.agent.publication import Publication
from launchd.agent.server_link.health import ServerHealth
from launchd.agent.server_link.session import QueueServerSession
from launchd.client.queue_server import HeldByServer, StopRequest
from launchd.daemon.systemd import SystemdNotifier


class ServerEvents:
    """The events of one agent's server link."""

    def __init__(
        self,
        session: QueueServerSession,
        registration: AgentRegistration,
        health: ServerHealth,
        controller: JobController,
        deliveries: DeliveryEvents,
        publication: Publication,
        configuration: Configuration,
        mode: AgentMode,
        notifier: SystemdNotifier,
    ) -> None:
        self._session = session
        self._registration = registration
        self._health = health
        self._controller = controller
        self._deliveries = deliveries
        self._publication = publication
        self._configuration = configuration
        self._mode = mode
        self._notifier = notifier

    def on_event(self, event: ServerEvent) -> None:
        """Have the part of the agent that an event is for act on it.

        Raises:
            CannotStart: the server refuses an agent that has nothing to do, and no service manager runs it.
        """
        match event:
            case (
                Registered()
                | RegistrationRefused()
                | RegistrationLost()
                | DrainTakenBack()
                | QueueError()
                | ServerContact()
            ):
                self._on_link_event(event)
            case _:
                self._on_item_event(event)

    def _on_link_event(self, event: LinkEvent) -> None:
        config = self._configuration.in_force
        match event:
            case Registered():
                self._health.note_registration(event)
                self._registration.on_registered(event, config)
            case RegistrationRefused(error):
                self._on_registration_refused(error)
            case RegistrationLost():
                if not self._mode.is_leaving:
                    self._registration.on_lost(event, config)
            case DrainTakenBack():
                self._mode.undrain_for_server()
            case QueueError(queue, error):
                self._health.note_queue(queue, error)
            case ServerContact():
                self._health.note_contact(event)

    def _on_item_event(self, event: ItemEvent) -> None:
        match event:
            case Claimed(items, agent_id):
                self._session.count_claim(event)
                self._controller.on_claimed(items, agent_id)
            case Polled():
                self._controller.measures.polled(event)
            case Acknowledged():
                self._controller.on_acknowledged(event)
            case StopRequested(stops, stop_polling):
                self._on_stop_requested(stops, stop_polling)
            case ItemsUnknown(items):
                self._on_items_unknown(items)
            case OutputWanted(items):
                self._publication.supply_outputs(items)
            case Delivered() | Undeliverable():
                self._deliveries.on_event(event)

    def _on_items_unknown(self, items: tuple[HeldByServer, ...]) -> None:
        if self._session.registered is not None:
            self._controller.on_items_unknown(items, self._session.registered.agent_id)

    def _on_stop_requested(self, stops: tuple[StopRequest, ...], stop_polling: bool) -> None:
        for stop in stops:
            self._controller.stop(stop)
        if stop_polling:
            self._mode.drain_for_server()

    def _on_registration_refused(self, error: str) -> None:
        # A service manager would start it anew, each second: it waits instead, for a queue that is created later.
        if self._registration.is_idle and not self._notifier.is_service:
            raise CannotStart(error)
        self._health.note_refusal(error)
        self._registration.on_refused(self._configuration.in_force)
