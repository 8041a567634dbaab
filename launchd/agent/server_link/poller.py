"""Takes work from the queues, never more than there are free slots.

A thread registers us, and then one loop claims jobs and one claims sweep
schedulers, which are counted apart. A loop waits for work at a server that can
hold the question open (ours), and asks again and again at one that cannot (W&B's,
where one loop asks for both; ``pace`` says how often). What it claimed goes to the
main thread, and it does not ask again before that has told it how many slots are left.
"""

import contextlib
import itertools
import threading
import uuid
from collections import deque
from collections.abc import Callable

from launchd.agent.events import Claimed, EventQueue, QueueError, Registered, RegistrationRefused, SlotKind
from launchd.agent.server_link.backoff import Backoff
from launchd.agent.server_link.registration import RegistrationRequest, register
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.client.errors import QueueServerError, Refused, Unauthorized
from launchd.client.queue_server import ClaimedItem, QueueServer

#: How often a refused registration is tried again; a person has to mend something first.
REFUSED_PAUSE_SECONDS = 30.0

_numbers = itertools.count(1)

Claim = Callable[[RetryingCaller, int], tuple[ClaimedItem, ...]]


class ClaimLoop(threading.Thread):
    """Claims items of one kind while slots for them are free."""

    def __init__(self, poller: "Poller", kind: SlotKind, claim: Claim, agent_id: str) -> None:
        super().__init__(name=f"claims-{kind}", daemon=True)
        events, ended = poller.events, poller.stopped
        self.kind = kind
        self._poller = poller
        self._claim = claim
        self._agent_id = agent_id
        self._events = events
        self._stopped = ended
        self._caller = RetryingCaller(events, ended)
        self._changed = threading.Condition()
        self._free_slots = 0
        self._handed_over = 0

    def set_free_slots(self, slots: int, claims_read: int) -> None:
        """Say how many slots are free.

        Ignored while a claim is not yet among the ``claims_read``: its items are not counted in ``slots``.
        """
        with self._changed:
            if claims_read == self._handed_over and slots != self._free_slots:
                self._free_slots = slots
                self._changed.notify_all()

    def wake(self) -> None:
        """Look at once whether to end."""
        with self._changed:
            self._changed.notify_all()

    def run(self) -> None:
        """Claim for ever."""
        try:
            while True:
                self._claim_once(self._next_wanted())
        except Stopped:
            pass

    def pause(self, seconds: float) -> bool:
        """Wait, but no longer than until the number of free slots changes; returns whether it did."""
        with self._changed:
            before = self._free_slots
            return self._changed.wait_for(lambda: self._stopped.is_set() or self._free_slots != before, seconds)

    def _next_wanted(self) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped.is_set() or self._free_slots > 0)
            if self._stopped.is_set():
                raise Stopped
            return self._free_slots

    def _claim_once(self, wanted: int) -> None:
        try:
            items = self._claim(self._caller, wanted)
        except Refused as error:
            self._events.put(RegistrationRefused(str(error)))
            self._caller.wait(REFUSED_PAUSE_SECONDS)
            return
        if items and self._stopped.is_set():
            self._poller.give_back(self._agent_id, items)
        elif items:
            # Nothing is wanted until the main thread has counted these.
            with self._changed:
                self._free_slots = 0
                self._handed_over += 1
            self._events.put(Claimed(items, self._agent_id, self._poller.number, self.kind))


class Poller(threading.Thread):
    """Registers, and has its loops claim what is wanted until told to end."""

    def __init__(
        self,
        server: QueueServer,
        request: RegistrationRequest,
        events: EventQueue,
        *,
        wait_seconds: float,
        poll_seconds: float,
    ) -> None:
        super().__init__(name="poller", daemon=True)
        #: Tells the letters of one poller from those of the next.
        self.number = next(_numbers)
        self.events = events
        self.stopped = threading.Event()
        self._server = server
        self._request = request
        self._wait_seconds = wait_seconds
        self._caller = RetryingCaller(events, self.stopped)
        self._loops: tuple[ClaimLoop, ...] = ()
        self._rotation = deque(request.queue_names)
        self._backoff = Backoff(poll_seconds)
        self._queue_errors: dict[str, str] = {}

    def set_free_slots(self, kind: SlotKind, slots: int, claims_read: int) -> None:
        """Tell the loop of ``kind`` how many slots are free; see :meth:`ClaimLoop.want`."""
        for loop in self._loops:
            if loop.kind is kind:
                loop.set_free_slots(slots, claims_read)

    def end(self) -> None:
        """Stop claiming; what a question that is still open brings is given back."""
        self.stopped.set()
        for loop in self._loops:
            loop.wake()

    def run(self) -> None:
        """Register, start the loops, and say so."""
        try:
            registered = self._register()
        except Stopped:
            return
        if self.stopped.is_set():
            return
        self._loops = self._make_loops(registered)
        for loop in self._loops:
            loop.start()
        self.events.put(registered)

    def give_back(self, agent_id: str, items: tuple[ClaimedItem, ...]) -> None:
        """Return items that came too late to their queues; where that fails, their leases do it."""
        with contextlib.suppress(QueueServerError):
            if self._server.capabilities().launchd_protocol:
                self._server.return_items(agent_id, [item.item_id for item in items])

    def _register(self) -> Registered:
        while True:
            try:
                return self._caller.retry_refusals(
                    lambda: register(self._server, self._request), final=(Refused, Unauthorized)
                )
            except (Refused, Unauthorized) as error:
                self.events.put(RegistrationRefused(str(error)))
                self._caller.wait(REFUSED_PAUSE_SECONDS)

    def _make_loops(self, registered: Registered) -> tuple[ClaimLoop, ...]:
        agent_id = registered.agent_id
        if registered.capabilities.launchd_protocol:
            return (
                ClaimLoop(self, SlotKind.JOB, lambda c, n: self._wait(c, agent_id, n, 0), agent_id),
                ClaimLoop(self, SlotKind.SCHEDULER, lambda c, n: self._wait(c, agent_id, 0, n), agent_id),
            )
        loop = ClaimLoop(self, SlotKind.JOB, lambda c, _: self._pop_or_pause(c, registered, loop.pause), agent_id)
        return (loop,)

    def _wait(self, caller: RetryingCaller, agent_id: str, jobs: int, schedulers: int) -> tuple[ClaimedItem, ...]:
        # The same claim id until there is an answer: an answer that got lost is given again.
        claim_id = uuid.uuid4().hex
        return caller.retry_forever(
            lambda: self._server.claim(agent_id, claim_id, jobs, schedulers, self._wait_seconds)
        ).items

    def _pop_or_pause(
        self, caller: RetryingCaller, registered: Registered, pause: Callable[[float], bool]
    ) -> tuple[ClaimedItem, ...]:
        wait = 0.0
        for queue in list(self._rotation):
            try:
                item = caller.call(lambda name=queue: self._pop(registered, name))  # type: ignore[misc]
            except QueueServerError as error:
                # The other queues are still worth asking.
                wait = max(wait, caller.pause_after(error))
                continue
            if item is not None:
                # W&B's agent moves the queue it served to the end, so that no queue starves another.
                self._rotation.remove(queue)
                self._rotation.append(queue)
                self._backoff.reset()
                return (item,)
        spaced = self._server.transport.rate_limit.spacing() * len(self._rotation)
        # A slot that becomes free is a reason to look at once.
        if pause(max(wait, spaced, self._backoff.next_pause())):
            self._backoff.reset()
        return ()

    def _pop(self, registered: Registered, queue: str) -> ClaimedItem | None:
        try:
            item = self._server.pop(registered.entity, queue, registered.agent_id or None)
        except Refused as error:
            self._note_error(queue, str(error))
            return None
        self._note_error(queue, None)
        return item

    def _note_error(self, queue: str, error: str | None) -> None:
        if self._queue_errors.get(queue) == error:
            return
        if error is None:
            del self._queue_errors[queue]
        else:
            self._queue_errors[queue] = error
        self.events.put(QueueError(queue, error))
