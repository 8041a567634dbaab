"""The protocol of this project's own queue server: who the agent is, claims, heartbeats.

Claims and stop requests wait at the server until there is something to answer. What is told of items is in
:mod:`launchd.agent.server_link.launchd_reports`.
"""

import contextlib
import uuid
from collections.abc import Sequence

from launchd.agent.backoff import Backoff
from launchd.agent.events import SlotKind
from launchd.agent.server_link.differences import Differences
from launchd.agent.server_link.launchd_reports import LaunchdItemReporter
from launchd.agent.server_link.protocol import (
    AGENT_DRAINING,
    AGENT_KILLED,
    AGENT_POLLING,
    AGENT_RUNNING,
    Claimer,
    ClaimResult,
    Heartbeat,
    HeartbeatResult,
    ItemReporter,
    LinkContext,
    MonitoredRun,
)
from launchd.client.errors import QueueServerError, Refused, SecondIncarnation, UnknownAgent
from launchd.client.queue_server import (
    Agent,
    AgentCommands,
    AgentGpus,
    AgentIdentity,
    ClaimedItem,
    HeldItem,
    OutputPiece,
    QueueServer,
    Resumed,
)

#: Pauses after stop requests: the server repeats them until a heartbeat lists them as seen.
REPEATED_STOP_SECONDS = 0.2
LONGEST_REPEATED_STOP_SECONDS = 2.0

#: The pause before the heartbeat that confirms a difference: what is on its way meanwhile arrives.
CONFIRM_SECONDS = 0.5

MUST_RESUME = "The queue server and this agent disagree about the agent's items, which registering again settles."


class LaunchdProtocol:
    """Speaks to one queue server of this project."""

    claim_kinds: tuple[SlotKind, ...] = (SlotKind.JOB, SlotKind.SCHEDULER)

    def __init__(self, server: QueueServer) -> None:
        self._server = server

    def find_agent(self, agent_id: str) -> Agent | None:
        """Return the agent with this id, unless the server forgot it."""
        return self._server.agent(agent_id)

    def resume_agent(
        self, agent_id: str, identity: AgentIdentity, held: Sequence[HeldItem], previous_ids: Sequence[str]
    ) -> Resumed | None:
        """Become the agent with this id, and agree with the server about all items."""
        return self._server.resume_agent(agent_id, identity, held, previous_ids)

    def claimer(self, kind: SlotKind, context: LinkContext) -> Claimer:
        """Return what claims items of ``kind``."""
        return LaunchdClaimer(self._server, kind, context)

    @property
    def claims_what_fits(self) -> bool:
        """Whether the server is not an older one, which hands out any item."""
        return self._server.capabilities().gpu_claims

    def report_gpus(self, agent_id: str, incarnation: str, gpus: AgentGpus) -> None:
        """Tell which GPUs are free: claims that wait return, to be repeated with these."""
        self._server.report_gpus(agent_id, incarnation, gpus)

    @property
    def takes_output(self) -> bool:
        """Whether the server is not an older one, and not the queue of a program."""
        return self._server.capabilities().outputs

    def send_output(self, item_id: str, agent_id: str, incarnation: str, piece: OutputPiece) -> float:
        """Send a piece of an output; returns for how many seconds more is wanted."""
        return self._server.send_output(item_id, agent_id, incarnation, piece)

    def heartbeat(self, context: LinkContext) -> Heartbeat:
        """Return what sends heartbeats."""
        return LaunchdHeartbeat(self._server, context)

    def item_reporter(self, context: LinkContext) -> ItemReporter:
        """Return what reports on items."""
        return LaunchdItemReporter(self._server, context)

    def deregister(self, agent_id: str, incarnation: str) -> None:
        """Tell the server that the agent has ended."""
        self._server.update_agent(agent_id, AGENT_KILLED, incarnation)


class LaunchdClaimer:
    """Claims as many items as there are permits, in one request that waits for the first."""

    def __init__(self, server: QueueServer, kind: SlotKind, context: LinkContext) -> None:
        self._server = server
        self._kind = kind
        self._agent_id = context.registered.agent_id
        self._incarnation = context.settings.incarnation
        self._wait_seconds = context.settings.wait_seconds
        self._caller = context.caller

    def claim(self, limit: int, gpus: AgentGpus | None) -> ClaimResult:
        """Claim at most ``limit`` items; there may be none after ``wait_seconds``, or when other GPUs become free."""
        told = gpus if self._kind is SlotKind.JOB and self._server.capabilities().gpu_claims else None
        jobs, schedulers = (limit, 0) if self._kind is SlotKind.JOB else (0, limit)
        # The same claim id until there is an answer: the server repeats an answer that was lost.
        claim_id = uuid.uuid4().hex
        claim = self._caller.retry_forever(
            lambda: self._server.claim(
                self._agent_id, self._incarnation, claim_id, jobs, schedulers, self._wait_seconds, told
            )
        )
        return ClaimResult(claim.items)

    def reset_pause(self) -> None:
        """Do nothing: there is no pause between claims that wait at the server."""

    def give_back(self, items: Sequence[ClaimedItem]) -> None:
        """Return claimed items to their queues."""
        with contextlib.suppress(QueueServerError):
            self._server.return_items(self._agent_id, items)


class LaunchdHeartbeat:
    """Shows that the agent lives and what it holds, with requests that wait for stop requests."""

    def __init__(self, server: QueueServer, context: LinkContext) -> None:
        self._server = server
        self._agent_id = context.registered.agent_id
        self._incarnation = context.settings.incarnation
        self._wait_seconds = context.settings.wait_seconds
        self._refused_seconds = context.settings.poll_seconds
        self._caller = context.caller
        self._differences = Differences()
        self._repeated_stops = Backoff(REPEATED_STOP_SECONDS, LONGEST_REPEATED_STOP_SECONDS)
        self._last = AgentCommands()
        self._drains = False

    def set_draining(self, *, drains: bool) -> None:
        """Set whether the agent takes no more jobs."""
        self._drains = drains

    def send_status(self, runs: Sequence[MonitoredRun]) -> None:
        """Tell the status."""
        self._server.update_agent(self._agent_id, self._status(runs), self._incarnation)

    def send(self, runs: Sequence[MonitoredRun], held: Sequence[HeldItem], sent: Sequence[str] = ()) -> HeartbeatResult:
        """Wait for requests; returns without any after ``wait_seconds``."""
        seen = [run.item_id for run in runs if run.stopping]
        wait_seconds = 0.0 if self._differences.is_in_doubt else self._wait_seconds
        try:
            commands = self._caller.retry_forever(
                lambda: self._server.watch(
                    self._agent_id, self._status(runs), seen, wait_seconds, self._incarnation, held, sent
                )
            )
        except (UnknownAgent, SecondIncarnation) as error:
            return HeartbeatResult(pause_seconds=self._refused_seconds, refusal=str(error), lost=str(error))
        except Refused as error:
            return HeartbeatResult(pause_seconds=self._refused_seconds, refusal=str(error))
        confirmed = self._differences.note(commands)
        return HeartbeatResult(
            commands.stops,
            commands.stop_polling,
            self._pause_after(commands),
            unknown=confirmed.unknown,
            lost=MUST_RESUME if confirmed.must_resume else None,
            outputs=commands.outputs,
        )

    def _status(self, runs: Sequence[MonitoredRun]) -> str:
        if self._drains:
            return AGENT_DRAINING
        return AGENT_RUNNING if runs else AGENT_POLLING

    def _pause_after(self, commands: AgentCommands) -> float:
        before, self._last = self._last, commands
        confirm = CONFIRM_SECONDS if self._differences.is_in_doubt else 0.0
        if not commands.stops and not commands.stop_polling:
            return confirm
        if (commands.stops, commands.stop_polling) != (before.stops, before.stop_polling):
            self._repeated_stops.reset()
        return max(confirm, self._repeated_stops.next_pause())
