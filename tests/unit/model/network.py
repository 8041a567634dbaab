"""The network between agents and server: it loses requests and answers, delays, repeats and refuses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.unit.model.server import Refusal


class Fate(StrEnum):
    """What becomes of an open request next."""

    ANSWERED = "answered"
    """It reaches the server, and its answer the agent; one that was answered before gets that answer."""
    REACHES = "reaches the server"
    """It takes effect; the answer is on its way, and other things happen first."""
    LOST = "lost"
    """The request, or its answer, is lost; the agent repeats the request. A proxy's own answer says no more."""
    REPEATED = "repeated"
    """As LOST; a copy of it arrives later."""
    REFUSED = "refused"
    """The server refuses the request as a whole."""


@dataclass(eq=False)
class Request:
    """A request of one thread of an agent, the same one until there is an answer."""

    thread: str
    what: str
    ask: Callable[[], Any]
    take: Callable[[Any], None]
    answer: Any = None
    last_answer: Any = None

    def __repr__(self) -> str:
        return f"<{self.what}>"


@dataclass
class Network:
    """Requests that nobody waits for, and what the server refuses."""

    copies: list[Request] = field(default_factory=list)

    def decide(self, request: Request, fate: Fate) -> bool:
        """Let something become of an open request; returns whether its thread has its answer now."""
        match fate:
            case Fate.ANSWERED:
                request.last_answer = request.ask() if request.answer is None else request.answer
                request.take(request.last_answer)
                return True
            case Fate.REACHES:
                if request.answer is None:
                    request.answer = request.last_answer = request.ask()
            case Fate.LOST:
                request.answer = None
            case Fate.REPEATED:
                request.answer = None
                self.copies.append(request)
            case Fate.REFUSED:
                request.take(Refusal("REFUSED", "The request is refused."))
                return True
        return False

    def deliver_copy(self, number: int) -> None:
        """Have a copy of a request arrive; nobody hears the answer."""
        self.copies.pop(number % len(self.copies)).ask()
