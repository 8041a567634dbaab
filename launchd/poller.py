"""Takes work from the queues, never more than there are free slots.

One thread. It waits for work at a server that can hold the question open (ours),
and asks every few seconds at one that cannot (W&B's). What it claimed goes to the main
thread, and it does not ask again before that has told it how many slots are left.
"""

import random
import threading
import uuid
from collections import deque

import msgspec

from launchd.client.errors import Refused, Unauthorized
from launchd.client.queue_server import ClaimedItem, QueueServer
from launchd.contact import Contacts, Ended
from launchd.inbox import Claimed, Inbox, Registered, RegistrationRefused
from launchd.registration import Application, register

#: How often a refused registration is tried again; a person has to mend something first.
REFUSED_PAUSE_SECONDS = 30.0


class Wanted(msgspec.Struct, frozen=True):
    """How many items would find a free slot."""

    jobs: int
    schedulers: int


class Poller(threading.Thread):
    """Registers, and claims what is wanted until told to end."""

    def __init__(
        self, server: QueueServer, application: Application, inbox: Inbox, *, wait_seconds: float, poll_seconds: float
    ) -> None:
        super().__init__(name="poller", daemon=True)
        self._server = server
        self._application = application
        self._inbox = inbox
        self._wait_seconds = wait_seconds
        self._poll_seconds = poll_seconds
        self._ended = threading.Event()
        self._contacts = Contacts(inbox, self._ended)
        self._wanted: Wanted | None = None
        self._handed_over = 0
        self._wants = threading.Condition()
        self._rotation = deque(application.queue_names)

    def want(self, wanted: Wanted, claims_read: int) -> None:
        """Say how many slots are free.

        Ignored while a claim is not yet among the ``claims_read``: its items are not counted in ``wanted``.
        """
        with self._wants:
            if claims_read == self._handed_over:
                self._wanted = wanted
                self._wants.notify_all()

    def end(self) -> None:
        """Stop claiming; a question that is open is abandoned."""
        self._ended.set()
        with self._wants:
            self._wants.notify_all()

    def run(self) -> None:
        """Register, then claim for ever."""
        try:
            registered = self._register()
            self._inbox.put(registered)
            claim = self._claim_waiting if registered.capabilities.native else self._claim_polling
            while not self._ended.is_set():
                claim(registered, self._next_wanted())
        except Ended:
            pass

    def _register(self) -> Registered:
        while True:
            try:
                return self._contacts.until_answered(
                    lambda: register(self._server, self._application), final=(Refused, Unauthorized)
                )
            except (Refused, Unauthorized) as error:
                self._inbox.put(RegistrationRefused(str(error)))
                self._contacts.wait(REFUSED_PAUSE_SECONDS)

    def _next_wanted(self) -> Wanted:
        with self._wants:
            self._wants.wait_for(lambda: self._ended.is_set() or self._has_wish())
            if self._wanted is None:
                raise Ended
            return self._wanted

    def _has_wish(self) -> bool:
        return self._wanted is not None and (self._wanted.jobs > 0 or self._wanted.schedulers > 0)

    def _claim_waiting(self, registered: Registered, wanted: Wanted) -> None:
        # The same claim id until there is an answer: an answer that got lost is given again.
        claim_id = uuid.uuid4().hex
        try:
            claim = self._contacts.until_answered(
                lambda: self._server.claim(
                    registered.agent_id, claim_id, wanted.jobs, wanted.schedulers, self._wait_seconds
                )
            )
        except Refused as error:
            self._inbox.put(RegistrationRefused(str(error)))
            self._contacts.wait(REFUSED_PAUSE_SECONDS)
            return
        if claim.items:
            self._hand_over(registered, claim.items)

    def _claim_polling(self, registered: Registered, wanted: Wanted) -> None:
        item = self._pop_in_turn(registered)
        if item is not None:
            self._hand_over(registered, (item,))
            return
        with self._wants:
            # A slot that becomes free is a reason to look at once.
            self._wants.wait_for(lambda: self._ended.is_set() or self._wanted != wanted, self._jittered_poll())

    def _pop_in_turn(self, registered: Registered) -> ClaimedItem | None:
        for queue in list(self._rotation):
            item = self._pop(registered, queue)
            if item is not None:
                # W&B's agent moves the queue it served to the end, so that no queue starves another.
                self._rotation.remove(queue)
                self._rotation.append(queue)
                return item
        return None

    def _pop(self, registered: Registered, queue: str) -> ClaimedItem | None:
        try:
            return self._contacts.until_answered(
                lambda: self._server.pop(registered.entity, queue, registered.agent_id)
            )
        except Refused as error:
            self._inbox.put(RegistrationRefused(f"Queue {queue}: {error}"))
            return None

    def _hand_over(self, registered: Registered, items: tuple[ClaimedItem, ...]) -> None:
        # Nothing is wanted until the main thread has counted these.
        with self._wants:
            self._wanted = None
            self._handed_over += 1
        self._inbox.put(Claimed(items, registered.agent_id))

    def _jittered_poll(self) -> float:
        return self._poll_seconds * random.uniform(0.8, 1.0)  # noqa: S311 - nobody gains by guessing it
