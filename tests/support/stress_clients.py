"""Threads that push, claim and finish items through deaths of the server, and somebody who kills it."""

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import requests

from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, RunningServer
from tests.support.waiting import patience

T = TypeVar("T")

#: How long a server may be away, in seconds.
PATIENCE = 60.0
#: Items that an agent asks for at a time: few enough that all agents get some.
AT_ONCE = 10


class RetryingClient(threading.Thread):
    """Does one turn after another, each request again and again until it is answered."""

    def __init__(self, server: RunningServer, done: threading.Event) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.done = done
        self._server = server
        self._pause = threading.Event()

    def run(self) -> None:
        try:
            with self._server.api() as api:
                while not self.done.is_set() and self.turn(api):
                    pass
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def turn(self, api: Api) -> bool:
        """One piece of work; false when there is nothing more to do."""
        raise NotImplementedError

    def insist(self, call: Callable[[], T]) -> T:
        """What `call` returns once the server is there to answer."""
        deadline = time.monotonic() + patience(PATIENCE)
        while not (answers := _attempt(call)):
            assert time.monotonic() < deadline, "no server answered"
            # Not more often: a server that starts needs the processor more than whoever waits for it.
            self._pause.wait(0.25)
        return answers[0]


class Pusher(RetryingClient):
    """Pushes items in batches, under keys: a batch whose answer was lost is sent again as it was."""

    def __init__(self, server: RunningServer, done: threading.Event, queue: str, keys: Sequence[str]) -> None:
        super().__init__(server, done)
        self.pushed: list[str] = []
        self._queue = queue
        self._keys = list(keys)

    def turn(self, api: Api) -> bool:
        batch, self._keys = self._keys[:20], self._keys[20:]
        self.pushed += self.insist(lambda: push_many(api, self._queue, batch))
        return bool(self._keys)


class Claimer(RetryingClient):
    """An agent of ours: many items at a time, by requests that may be repeated."""

    def __init__(self, server: RunningServer, done: threading.Event, agent: str, name: str) -> None:
        super().__init__(server, done)
        self.runs: dict[str, str] = {}
        self._agent = agent
        self._name = name
        self._turns = 0

    def turn(self, api: Api) -> bool:
        self._turns += 1
        claim = f"{self._name}-{self._turns}"
        items = self.insist(lambda: api.claim(self._agent, claim, items=AT_ONCE, wait=1))
        if items:
            runs = {item: f"{self._name}-{item}" for item in items}
            accepted = self.insist(lambda: acknowledge(api, self._agent, runs))
            self._took({item: run for item, run in runs.items() if item in accepted})
            if accepted:
                assert all(self.insist(lambda: api.report_all(self._agent, accepted, 1, "finished")))
        return True

    def _took(self, runs: dict[str, str]) -> None:
        again = self.runs.keys() & runs.keys()
        assert not again, f"acknowledged twice: {again}"
        self.runs |= runs


class WandbClaimer(Claimer):
    """An agent as W&B's: one item at a time, by requests without numbers; its items end with their runs."""

    def __init__(self, server: RunningServer, done: threading.Event, agent: str, name: str, queue: str) -> None:
        super().__init__(server, done, agent, name)
        self._queue = queue

    def turn(self, api: Api) -> bool:
        item = self.insist(lambda: api.pop(self._queue, self._agent))
        if item is None:
            self.done.wait(0.2)
        elif self._acknowledge(api, item, run := f"{self._name}-{item}"):
            self._took({item: run})
            self.insist(lambda: ClientRun(api, run, project="p").stream({"complete": True, "exitcode": 0}))
        return True

    def _acknowledge(self, api: Api, item: str, run: str) -> bool:
        answer = self.insist(lambda: api.mutate("ackRunQueueItem", "success", runQueueItemId=item, runName=run))
        if answer["success"]:
            return True
        # Refused, but perhaps because the first answer was lost.
        found = self.insist(lambda: api.item(item))
        return found is not None and (found["state"], found["associatedRunId"]) == ("CLAIMED", run)


class ChaosThread(threading.Thread):
    """Kills the server and starts it again: each time after some progress, at a random moment of the work."""

    def __init__(
        self, server: RunningServer, done: threading.Event, seed: int, progress: Callable[[], int], step: int
    ) -> None:
        super().__init__()
        self.kills = 0
        self._server = server
        self._done = done
        self._random = random.Random(seed)
        self._progress = progress
        self._step = step

    def run(self) -> None:
        while not self._done.is_set():
            goal = self._progress() + self._random.randint(1, 2 * self._step)
            while self._progress() < goal and not self._done.wait(0.05):
                pass
            if not self._done.wait(self._random.uniform(0, 0.2)):
                self._server.restart()
                self.kills += 1


def push_many(api: Api, queue: str, keys: Sequence[str]) -> list[str]:
    """Ids of the items pushed under these keys, in one request."""
    fixed = 'entityName: "me", projectName: "model-registry", queueName: $queue, runSpec: $spec'
    declared = " ".join(f"$k{place}: String" for place in range(len(keys)))
    pushes = " ".join(
        f"p{place}: pushToRunQueueByName(input: {{ {fixed}, idempotencyKey: $k{place} }}) {{ runQueueItemId }}"
        for place in range(len(keys))
    )
    values = {f"k{place}": key for place, key in enumerate(keys)}
    answer = api.run(
        f"mutation($queue: String!, $spec: JSONString!, {declared}) {{ {pushes} }}",
        {"queue": queue, "spec": json.dumps({"project": "p"}), **values},
    )
    return [answer[f"p{place}"]["runQueueItemId"] for place in range(len(keys))]


def acknowledge(api: Api, agent: str, runs: dict[str, str]) -> list[str]:
    """Those of the items that the agent has got; `runs` says which run each becomes."""
    acks = [{"runQueueItemId": item, "runName": run} for item, run in runs.items()]
    answer = api.mutate("ackRunQueueItems", "results { success }", launchAgentId=agent, acks=acks)
    return [item for item, result in zip(runs, answer["results"], strict=True) if result["success"]]


def _attempt(call: Callable[[], T]) -> list[T]:
    try:
        return [call()]
    except requests.RequestException:
        return []
    except RefusedByServer as error:
        if error.status < 500:
            raise
        return []
