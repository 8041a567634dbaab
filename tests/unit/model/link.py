"""What the threads of the server link do, as a machine may interleave it: one open request of each thread at a time.

Mirrors `launchd/agent/server_link`: registration, poller, heartbeat and reporter, without threads and pauses.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec

from launchd.agent.deliveries import decode_outcome
from launchd.agent.events import (
    Acknowledged,
    Claimed,
    Delivered,
    Event,
    ItemsUnknown,
    RegistrationLost,
    RegistrationRefused,
    SlotKind,
    StopRequested,
    Undeliverable,
)
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link.differences import Differences
from launchd.agent.server_link.protocol import Acknowledgement
from launchd.client.queue_server import AgentCommands, AgentIdentity, HeldItem, ItemAnswer, ItemResult, Report, Resumed
from tests.unit.model.network import Request
from tests.unit.model.server import Refusal, ServerUnderTest

#: How often a request about one row is refused before the row is put aside.
REFUSALS = 3

MOST_AT_ONCE = 3


@dataclass
class Link:
    """The server link of one agent process. ``emit`` hands an event to the main thread."""

    server: ServerUnderTest
    identity: AgentIdentity
    emit: Callable[[Event], None]
    on_registered: Callable[[str, Resumed], None]
    name: str
    #: The present registration; and as whom items are reported on, which a registration that is refused does not end.
    agent_id: str | None = None
    reporting_as: str | None = None
    free_slots: int = 0
    held: tuple[HeldItem, ...] = ()
    stopping: tuple[str, ...] = ()
    #: Heartbeats that were answered to this process.
    heartbeats: int = 0
    open: dict[str, Request] = field(default_factory=dict)
    _registration: "_Registration | None" = None
    _acks: deque[Acknowledgement] = field(default_factory=deque)
    _deliveries: deque[Delivery] = field(default_factory=deque)
    _statuses: dict[str, Report] = field(default_factory=dict)
    _refusals: int = 0
    _groups: deque[list[Any]] = field(default_factory=deque)
    _lost: set[str] = field(default_factory=set)
    _claims: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self._differences = self._new_differences()

    def _new_differences(self) -> Differences:
        return Differences(lambda: self.server.now)

    # -- what the main thread says

    def register(self, remembered_id: str | None) -> None:
        """Register; an earlier registration claims nothing more, and what it still gets it gives back."""
        self._registration = _Registration(self, remembered_id, [remembered_id] if remembered_id else [])
        self.open.pop("registration", None)
        claim = self.open.pop("poller", None)
        if claim is not None:
            claim.thread, claim.take = "poller before", self._give_back
            self.open[claim.thread] = claim

    @property
    def is_registering(self) -> bool:
        """Whether a registration is under way."""
        return self._registration is not None

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        self._acks.append(acknowledgement)

    def deliver(self, delivery: Delivery, *, sent_before: bool = False) -> None:  # noqa: ARG002 - as above
        self._statuses.pop(delivery.item_id, None)
        self._deliveries.append(delivery)

    def publish_status(self, agent_id: str, report: Report) -> None:  # noqa: ARG002 - the reporter's interface
        self._statuses[report.item_id] = report

    # -- requests

    def requests(self) -> list[Request]:
        """The open requests; a thread that has something to ask begins with it."""
        begin = {
            "registration": self._begin_registration,
            "heartbeat": self._begin_heartbeat,
            "reporter": self._begin_report,
            "poller": self._begin_claim,
        }
        for thread, ask in begin.items():
            if thread not in self.open:
                request = ask()
                if request is not None:
                    self.open[thread] = request
        return list(self.open.values())

    def answered(self, request: Request) -> None:
        """Note that a thread has its answer."""
        if self.open.get(request.thread) is request:
            del self.open[request.thread]

    def _request(self, thread: str, what: str, ask: Callable[[], Any], take: Callable[[Any], None]) -> Request:
        def take_if_awaited(answer: Any) -> None:
            if self.open.get(thread) is request:
                take(answer)

        request = Request(thread, f"{self.name} {what}", ask, take_if_awaited)
        return request

    # -- registration

    def _begin_registration(self) -> Request | None:
        return self._registration.next_request() if self._registration is not None else None

    def registered(self, agent_id: str, resumed: Resumed) -> None:
        """The end of a registration."""
        self._registration = None
        self.agent_id = self.reporting_as = agent_id
        self._differences = self._new_differences()
        self._lost.discard(agent_id)
        self.open.pop("heartbeat", None)
        self.on_registered(agent_id, resumed)

    # -- heartbeat

    def _begin_heartbeat(self) -> Request | None:
        if self.agent_id is None:
            return None
        agent_id = self.agent_id
        given = {
            "launch_agent_id": agent_id,
            "agent_status": "RUNNING" if self.held else "POLLING",
            "seen_stops": list(self.stopping),
            "incarnation": self.identity.incarnation,
            "held": [_held_input(one) for one in self.held],
        }
        return self._request(
            "heartbeat", "watch", lambda: self.server.watch(**given), lambda answer: self._on_watched(agent_id, answer)
        )

    def _on_watched(self, agent_id: str, answer: Any) -> None:
        if isinstance(answer, Refusal):
            self._note_refusal(agent_id, answer)
            return
        stops, unknown, must_resume = answer
        self.heartbeats += 1
        if stops:
            self.emit(StopRequested(stops, stop_polling=False))
        confirmed = self._differences.note(
            AgentCommands(stops=stops, unknown_to_agent=unknown, must_resume=must_resume)
        )
        if confirmed.unknown:
            self.emit(ItemsUnknown(confirmed.unknown))
        if confirmed.must_resume:
            self._note_loss(agent_id, "Agent and server disagree.")

    def _note_refusal(self, agent_id: str, refusal: Refusal) -> None:
        if refusal.code in ("UNKNOWN_AGENT", "SECOND_INCARNATION"):
            self._note_loss(agent_id, refusal.message)

    def _note_loss(self, agent_id: str, reason: str) -> None:
        if agent_id not in self._lost:
            self._lost.add(agent_id)
            self.emit(RegistrationLost(agent_id, reason))

    # -- poller

    def _begin_claim(self) -> Request | None:
        if self.agent_id is None or self.is_registering or self.free_slots <= 0:
            return None
        agent_id = self.agent_id
        given = {
            "launch_agent_id": agent_id,
            "incarnation": self.identity.incarnation,
            "claim_id": f"{self.identity.incarnation}-{next(self._claims)}",
            "max_items": self.free_slots,
        }
        return self._request(
            "poller", "claim", lambda: self.server.claim(**given), lambda answer: self._on_claimed(agent_id, answer)
        )

    def _on_claimed(self, agent_id: str, answer: Any) -> None:
        if isinstance(answer, Refusal):
            self._note_refusal(agent_id, answer)
        elif answer:
            self.emit(Claimed(answer, agent_id, SlotKind.JOB))

    def _give_back(self, answer: Any) -> None:
        if not isinstance(answer, Refusal) and answer and self.agent_id is not None:
            agent_id = self.agent_id
            self.open["giving back"] = Request(
                "giving back", f"{self.name} give back", lambda: self.server.give_back(agent_id, answer), lambda _: None
            )

    # -- reporter

    def _begin_report(self) -> Request | None:
        if self.reporting_as is None:
            return None
        if not self._groups:
            self._groups.extend(self._work())
        if not self._groups:
            return None
        group, agent_id = self._groups[0], self.reporting_as
        kind = _KINDS[type(group[0])]
        return self._request(
            "reporter",
            f"{kind.name} {[one.item_id[:4] for one in group]}",
            lambda: kind.send(self.server, agent_id, group),
            lambda answer: self._on_reported(agent_id, kind, answer),
        )

    def _work(self) -> Iterable[list[Any]]:
        for waiting in (self._acks, self._deliveries):
            group = [waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(waiting)))]
            # One answer for each item: two rows about one item go apart.
            while group:
                yield _take_distinct(group)
        statuses, self._statuses = list(self._statuses.values()), {}
        if statuses:
            yield statuses

    def _on_reported(self, agent_id: str, kind: "_Kind", answer: Any) -> None:
        group = self._groups.popleft()
        if not isinstance(answer, Refusal):
            self._refusals = 0
            kind.settle(self, group, answer)
        elif answer.code == "UNKNOWN_AGENT":
            # Acknowledgements are asked for again after the registration, and states are superseded.
            self._deliveries.extend(one for one in group if kind is _ROWS)
            if agent_id == self.agent_id:
                self._note_loss(agent_id, answer.message)
        elif len(group) > 1:
            self._groups.extendleft([group[1:], group[:1]])
        else:
            self._on_refused_alone(kind, group, answer)

    def _on_refused_alone(self, kind: "_Kind", group: list[Any], answer: Refusal) -> None:
        self._refusals += 1
        if self._refusals < REFUSALS:
            self._groups.appendleft(group)
            return
        self._refusals = 0
        [one] = group
        kind.settle(self, group, {one.item_id: ItemResult(one.item_id, ItemAnswer.REFUSED, answer.message)})

    def settle_acks(self, group: list[Any], answers: dict[str, Any]) -> None:
        for one in group:
            result = answers[one.item_id]
            self.emit(Acknowledged(one.item_id, one.lease, result.answer, result.message))

    def settle_rows(self, group: list[Delivery], answers: dict[str, Any]) -> None:
        for row in group:
            result = answers[row.item_id]
            if result.answer in (ItemAnswer.TAKEN, ItemAnswer.STALE):
                self.emit(Delivered((row.id,)))
            else:
                self.emit(Undeliverable((row.id,), f"{result.answer}: {result.message}"))


def _take_distinct(group: list[Any]) -> list[Any]:
    taken: list[Any] = []
    for one in list(group):
        if all(one.item_id != before.item_id for before in taken):
            taken.append(one)
            group.remove(one)
    return taken


@dataclass
class _Registration:
    """Resumes as the agent before, or registers anew and takes the jobs along."""

    link: Link
    agent_id: str | None
    previous_ids: list[str]

    def next_request(self) -> Request:
        link, identity = self.link, self.link.identity
        if self.agent_id is None:
            return link._request(
                "registration",
                "register",
                lambda: link.server.create_agent(identity.incarnation, identity.machine_id or ""),
                self._on_created,
            )
        given = {
            "launch_agent_id": self.agent_id,
            "previous_agent_ids": [one for one in self.previous_ids if one != self.agent_id],
            "held": [_held_input(one) for one in link.held],
            "incarnation": identity.incarnation,
            "previous_incarnation": identity.previous_incarnation,
            "machine_id": identity.machine_id,
            "hostname": identity.hostname,
            "version": identity.version,
        }
        return link._request("registration", "resume", lambda: link.server.resume(**given), self._on_resumed)

    def _on_created(self, answer: Any) -> None:
        if not isinstance(answer, Refusal):
            self.agent_id = answer

    def _on_resumed(self, answer: Any) -> None:
        if isinstance(answer, Refusal):
            if answer.code == "UNKNOWN_AGENT":
                self.agent_id = None
            else:
                self.link.emit(RegistrationRefused(answer.message))
            return
        returned, unknown, results = answer
        self.link.registered(self.agent_id or "", Resumed(returned, unknown, results))


def _held_input(one: HeldItem) -> dict[str, Any]:
    return {
        "run_queue_item_id": one.item_id,
        "lease": one.lease,
        "run_name": one.run_id,
        "acknowledged": one.acknowledged,
    }


@dataclass(frozen=True)
class _Kind:
    """How one kind of work of the reporter is sent and settled."""

    name: str
    send: Callable[[ServerUnderTest, str, list[Any]], Any]
    settle: Callable[[Link, list[Any], dict[str, Any]], None]


def _send_acks(server: ServerUnderTest, agent_id: str, group: list[Any]) -> Any:
    acks = [{"run_queue_item_id": one.item_id, "run_name": one.run_id, "lease": one.lease} for one in group]
    return server.acknowledge(agent_id, acks)


def _send_reports(server: ServerUnderTest, agent_id: str, group: list[Report]) -> Any:
    reports = []
    for one in group:
        given = msgspec.structs.asdict(one)
        given["run_queue_item_id"] = given.pop("item_id")
        reports.append(given)
    return server.report(agent_id, reports)


_ACKS = _Kind("acknowledge", _send_acks, Link.settle_acks)
_ROWS = _Kind(
    "outcomes",
    lambda server, agent_id, group: _send_reports(server, agent_id, [decode_outcome(row.body).report for row in group]),
    Link.settle_rows,
)
_STATES = _Kind("states", _send_reports, lambda *_: None)


_KINDS: dict[type, _Kind] = {Acknowledgement: _ACKS, Delivery: _ROWS, Report: _STATES}
