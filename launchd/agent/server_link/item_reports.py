"""What both protocols say of items in the same operations, which every W&B-compatible server has."""

from launchd.agent.deliveries import decode_warning
from launchd.agent.server_link.protocol import DeliveryAttempt, LinkContext
from launchd.client.errors import Refused
from launchd.client.queue_server import QueueServer


class CommonItemReporter:
    """The common part of item reporters. Used by the reporter's thread alone."""

    def __init__(self, server: QueueServer, context: LinkContext) -> None:
        self._server = server
        self._registered = context.registered
        self._caller = context.caller

    def renew(self, context: LinkContext) -> None:
        """Report as the agent of another registration from now on."""
        self._registered = context.registered

    def sweep_state(self, entity: str, project: str, sweep: str) -> str | None:
        """Return the state of a sweep, ``None`` for an unknown one; raises ``Refused``."""
        return self._caller.retry_refusals(lambda: self._server.sweep_state(entity, project, sweep))

    def warn(self, attempt: DeliveryAttempt) -> float | None:
        """Attach a warning to its item; returns ``None``. Raises ``Refused``."""
        item_id, warning = attempt.delivery.item_id, decode_warning(attempt.delivery.body)
        taken = self._caller.retry_refusals(lambda: self._server.warn_item(item_id, warning.message, warning.stage))
        if not taken and self._registered.capabilities.item_warnings:
            raise Refused(f"The queue server did not take a warning about item {item_id}.")
        return None
