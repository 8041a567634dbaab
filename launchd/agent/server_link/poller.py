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

from launchd.agent.events import Claimed, Inbox, Kind, QueueTrouble, Registered, RegistrationRefused
from launchd.agent.server_link.backoff import Pace
from launchd.agent.server_link.registration import Application, register
from launchd.agent.server_link.retry import Contacts, Ended
from launchd.client.errors import QueueServerError, Refused, Unauthorized
from launchd.client.queue_server import ClaimedItem, QueueServer

#: How often a refused registration is tried again; a person has to mend something first.
REFUSED_PAUSE_SECONDS = 30.0

_numbers = itertools.count(1)

Claim = Callable[[Contacts, int], tuple[ClaimedItem, ...]]


class ClaimLoop(threading.Thread):
    """Claims items of one kind while slots for them are free."""

    def __init__(self, poller: "Poller", kind: Kind, claim: Claim, agent_id: str) -> None:
        super().__init__(name=f"claims-{kind}", daemon=True)
        inbox, ended = poller.inbox, poller.ended
        self.kind = kind
        self._poller = poller
        self._claim = claim
        self._agent_id = agent_id
        self._inbox = inbox
        self._ended = ended
        self._contacts = Contacts(inbox, ended)
        self._changed = threading.Condition()
        self._wanted = 0
        self._handed_over = 0

    def want(self, slots: int, claims_read: int) -> None:
        """Say how many slots are free.

        Ignored while a claim is not yet among the ``claims_read``: its items are not counted in ``slots``.
        """
        with self._changed:
            if claims_read == self._handed_over and slots != self._wanted:
                self._wanted = slots
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
        except Ended:
            pass

    def pause(self, seconds: float) -> bool:
        """Wait, but no longer than until the number of free slots changes; returns whether it did."""
        with self._changed:
            before = self._wanted
            return self._changed.wait_for(lambda: self._ended.is_set() or self._wanted != before, seconds)

    def _next_wanted(self) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._ended.is_set() or self._wanted > 0)
            if self._ended.is_set():
                raise Ended
            return self._wanted

    def _claim_once(self, wanted: int) -> None:
        try:
            items = self._claim(self._contacts, wanted)
        except Refused as error:
            self._inbox.put(RegistrationRefused(str(error)))
            self._contacts.wait(REFUSED_PAUSE_SECONDS)
            return
        if items and self._ended.is_set():
            self._poller.give_back(self._agent_id, items)
        elif items:
            # Nothing is wanted until the main thread has counted these.
            with self._changed:
                self._wanted = 0
                self._handed_over += 1
            self._inbox.put(Claimed(items, self._agent_id, self._poller.number, self.kind))


class Poller(threading.Thread):
    """Registers, and has its loops claim what is wanted until told to end."""

    def __init__(
        self, server: QueueServer, application: Application, inbox: Inbox, *, wait_seconds: float, poll_seconds: float
    ) -> None:
        super().__init__(name="poller", daemon=True)
        #: Tells the letters of one poller from those of the next.
        self.number = next(_numbers)
        self.inbox = inbox
        self.ended = threading.Event()
        self._server = server
        self._application = application
        self._wait_seconds = wait_seconds
        self._contacts = Contacts(inbox, self.ended)
        self._loops: tuple[ClaimLoop, ...] = ()
        self._rotation = deque(application.queue_names)
        self._pace = Pace(poll_seconds)
        self._queue_troubles: dict[str, str] = {}

    def want(self, kind: Kind, slots: int, claims_read: int) -> None:
        """Tell the loop of ``kind`` how many slots are free; see :meth:`ClaimLoop.want`."""
        for loop in self._loops:
            if loop.kind is kind:
                loop.want(slots, claims_read)

    def end(self) -> None:
        """Stop claiming; what a question that is still open brings is given back."""
        self.ended.set()
        for loop in self._loops:
            loop.wake()

    def run(self) -> None:
        """Register, start the loops, and say so."""
        try:
            registered = self._register()
        except Ended:
            return
        if self.ended.is_set():
            return
        self._loops = self._make_loops(registered)
        for loop in self._loops:
            loop.start()
        self.inbox.put(registered)

    def give_back(self, agent_id: str, items: tuple[ClaimedItem, ...]) -> None:
        """Return items that came too late to their queues; where that fails, their leases do it."""
        with contextlib.suppress(QueueServerError):
            if self._server.capabilities().native:
                self._server.return_items(agent_id, [item.item_id for item in items])

    def _register(self) -> Registered:
        while True:
            try:
                return self._contacts.insist(
                    lambda: register(self._server, self._application), final=(Refused, Unauthorized)
                )
            except (Refused, Unauthorized) as error:
                self.inbox.put(RegistrationRefused(str(error)))
                self._contacts.wait(REFUSED_PAUSE_SECONDS)

    def _make_loops(self, registered: Registered) -> tuple[ClaimLoop, ...]:
        agent_id = registered.agent_id
        if registered.capabilities.native:
            return (
                ClaimLoop(self, Kind.JOB, lambda c, n: self._wait(c, agent_id, n, 0), agent_id),
                ClaimLoop(self, Kind.SCHEDULER, lambda c, n: self._wait(c, agent_id, 0, n), agent_id),
            )
        loop = ClaimLoop(self, Kind.JOB, lambda c, _: self._pop_or_pause(c, registered, loop.pause), agent_id)
        return (loop,)

    def _wait(self, contacts: Contacts, agent_id: str, jobs: int, schedulers: int) -> tuple[ClaimedItem, ...]:
        # The same claim id until there is an answer: an answer that got lost is given again.
        claim_id = uuid.uuid4().hex
        return contacts.until_answered(
            lambda: self._server.claim(agent_id, claim_id, jobs, schedulers, self._wait_seconds)
        ).items

    def _pop_or_pause(
        self, contacts: Contacts, registered: Registered, pause: Callable[[float], bool]
    ) -> tuple[ClaimedItem, ...]:
        wait = 0.0
        for queue in list(self._rotation):
            try:
                item = contacts.once(lambda name=queue: self._pop(registered, name))  # type: ignore[misc]
            except QueueServerError as error:
                # The other queues are still worth asking.
                wait = max(wait, contacts.pause_after(error))
                continue
            if item is not None:
                # W&B's agent moves the queue it served to the end, so that no queue starves another.
                self._rotation.remove(queue)
                self._rotation.append(queue)
                self._pace.quicken()
                return (item,)
        spaced = self._server.transport.allowance.spacing() * len(self._rotation)
        # A slot that becomes free is a reason to look at once.
        if pause(max(wait, spaced, self._pace.next_pause())):
            self._pace.quicken()
        return ()

    def _pop(self, registered: Registered, queue: str) -> ClaimedItem | None:
        try:
            item = self._server.pop(registered.entity, queue, registered.agent_id or None)
        except Refused as error:
            self._note_trouble(queue, str(error))
            return None
        self._note_trouble(queue, None)
        return item

    def _note_trouble(self, queue: str, error: str | None) -> None:
        if self._queue_troubles.get(queue) == error:
            return
        if error is None:
            del self._queue_troubles[queue]
        else:
            self._queue_troubles[queue] = error
        self.inbox.put(QueueTrouble(queue, error))
