"""The server under test: the real resolvers over a real store in memory, one request at a time, with its own clock."""

import asyncio
import functools
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, event
from starlette.requests import Request

from launchd.client.queue_server import ClaimedItem, HeldByServer, ItemAnswer, ItemResult, StopRequest
from launchd.server.answer_budget import AnswerBudget
from launchd.server.context import Context
from launchd.server.errors import Refused, ServerError
from launchd.server.launch.job_keys import JobKeys
from launchd.server.launch.repetitions import Repetitions
from launchd.server.measures import ServerMeasures
from launchd.server.models import KeyRole, Viewer
from launchd.server.notifier import Notifier
from launchd.server.resolvers.launch import agents, heartbeats, items, items_push, leases, reports
from launchd.server.settings import ServerSettings
from launchd.server.store import clock
from launchd.server.store.accounts import accounts, api_keys, principals
from launchd.server.store.database import Lane, Work
from launchd.server.store.db_errors import REFUSALS, refusal
from launchd.server.store.factory import migration_transaction
from launchd.server.store.launch import leases as lease_store
from launchd.server.store.launch import queues, restored
from launchd.server.store.migrate import migrate
from launchd.server.store.sqlite import open_engine
from launchd.server.store.tables import launch_agents, run_queue_items

T = TypeVar("T")

QUEUE = "default"
_JOB_KEYS = JobKeys(b"secret")
SETTINGS = ServerSettings(data_dir=Path("/nonexistent"))


@dataclass(frozen=True)
class Refusal:
    """The server's answer to a request that it refuses as a whole."""

    code: str | None
    message: str


class ItemRow(msgspec.Struct, frozen=True):
    """What the store holds of an item."""

    id: str
    state: str
    agent_id: str | None
    lease: int
    message: str | None
    stop_requested: bool

    @property
    def is_over(self) -> bool:
        """Whether the item has ended."""
        return self.state in ("FINISHED", "FAILED", "STOPPED", "PREEMPTED")


@functools.cache
def _template() -> bytes:
    """A database with the tables, a user, a key and a queue."""
    with tempfile.TemporaryDirectory() as name:
        settings = ServerSettings(data_dir=Path(name))
        with migration_transaction(settings) as connection:
            migrate(connection, "the template")
            _fill(connection)
        with closing(sqlite3.connect(":memory:")) as copy, closing(sqlite3.connect(settings.database_path)) as on_disk:
            # A database in memory has no write-ahead log.
            on_disk.execute("PRAGMA journal_mode = DELETE")
            on_disk.backup(copy)
            return copy.serialize()


def _fill(connection: Connection) -> None:
    user = accounts.first_user(connection, "me")
    api_keys.add(connection, user, api_keys.digest_of("key"), "the agents'", KeyRole.ADMIN)
    viewer = api_keys.viewer_of_key(connection, api_keys.digest_of("key"))
    assert viewer is not None
    entity = principals.require_entity(connection, viewer.writing(), "me")
    project, _ = principals.ensure_project(connection, entity, "model-registry")
    options = {"access": "PROJECT", "prioritization_mode": queues.DISABLED, "resource_config_id": None}
    queues.create_queue(connection, viewer.writing(), project, QUEUE, options)


class _InlineDatabase:
    """The store's interface over one connection, in the caller's thread."""

    def __init__(self, now: Any) -> None:
        self.engine = open_engine(Path(":memory:"), "BEGIN IMMEDIATE")

        @event.listens_for(self.engine, "connect")
        def set_clock(connection: Any, _record: object) -> None:
            connection.create_function(clock.FUNCTION, 0, now)

    async def read(self, work: Work[T], lane: Lane = Lane.USUAL) -> T:  # noqa: ARG002 (there is one connection)
        return self.run(work)

    async def write(self, work: Work[T]) -> T:
        return self.run(work)

    async def write_guarded(self, work: Work[T]) -> T:
        return self.run(work)

    def run(self, work: Work[T]) -> T:
        try:
            with self.engine.begin() as connection:
                return work(connection)
        except REFUSALS as error:
            raise refusal(error) from error

    @property
    def raw(self) -> sqlite3.Connection:
        # Closing gives it back to the pool, which keeps it.
        with closing(self.engine.raw_connection()) as pooled:
            return pooled.driver_connection  # type: ignore[return-value]


def _never_disconnects() -> Request:
    async def receive() -> Any:
        await asyncio.Event().wait()

    return Request({"type": "http"}, receive)


@dataclass
class Copy:
    """The database as it was at some time."""

    database: bytes
    rows: dict[str, ItemRow]


@dataclass
class ServerUnderTest:
    """A queue server. Requests are methods, which return what an agent is answered, or a :class:`Refusal`."""

    now: float = 10_000.0
    #: Called with the item ids of each claim's answer and the agent's id, when they are leased.
    on_leased: Callable[[Sequence[str], str], None] = lambda *_: None
    #: When each item was first named in a heartbeat, or when an agent resumed, since the start of the server.
    shown_at: dict[str, float] = field(default_factory=dict)
    started_at: float = 0.0
    noted_lease: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        self._database = _InlineDatabase(lambda: self.now)
        self._database.raw.deserialize(_template())
        self._viewer = self._run(lambda connection: api_keys.viewer_of_key(connection, api_keys.digest_of("key")))
        assert self._viewer is not None
        self._queue_id = str(self._database.raw.execute("SELECT id FROM run_queues").fetchone()[0])
        self._start()

    def close(self) -> None:
        self._loop.close()
        self._database.engine.dispose()

    def _start(self) -> None:
        timer = SimpleNamespace(leased_for=lambda _seconds: None)
        mark = SimpleNamespace(note=self._note_leases)
        app = SimpleNamespace(
            settings=SETTINGS,
            database=self._database,
            measures=ServerMeasures(),
            notifier=Notifier(),
            repetitions=Repetitions(),
            job_keys=_JOB_KEYS,
            lease_timer=timer,
            lease_mark=mark,
        )
        viewer: Viewer = self._viewer.writing()  # type: ignore[union-attr]
        budget = AnswerBudget(SETTINGS.max_answer_bytes)
        context = Context(app, viewer, _never_disconnects(), Lane.FIRST, budget)  # type: ignore[arg-type]
        self._info = SimpleNamespace(context=context)

    def _note_leases(self, numbers: Iterable[int]) -> None:
        self.noted_lease = max(self.noted_lease, *numbers)

    def _run(self, work: Work[T]) -> T:
        return self._database.run(work)

    def _ask(self, resolver: Any, **given: Any) -> Any:
        """The resolver's answer, or its refusal."""
        try:
            return self._loop.run_until_complete(resolver(None, self._info, input=given))
        except Refused as error:
            return Refusal(error.code, str(error))
        except ServerError as error:
            raise AssertionError(f"the server failed: {error}") from error

    # -- time, restarts and copies

    def advance(self, seconds: float) -> None:
        """Let time pass; leases that are over end."""
        self.now += seconds
        self._run(lease_store.return_expired)

    def copy(self) -> Copy:
        """Copy the database."""
        return Copy(self._database.raw.serialize(), self.items())

    def restart(self, copy: Copy | None = None) -> None:
        """Stop the server, put the copy in place, start it."""
        self.shown_at.clear()
        self.started_at = self.now
        if copy is not None:
            self._database.raw.deserialize(copy.database)
        begun = restored.Start(
            lease_seconds=SETTINGS.lease_seconds,
            timeout_seconds=SETTINGS.agent_timeout_seconds,
            pause_seconds=SETTINGS.restore_pause_seconds,
            noted_lease=self.noted_lease,
        )
        self._run(lambda connection: restored.start(connection, begun))
        self._start()

    # -- users

    def push(self, spec: dict[str, Any]) -> str:
        """Put an item into the queue."""
        answer = self.try_push(json.dumps(spec))
        assert not isinstance(answer, Refusal), f"the item is refused: {answer}"
        return answer

    def try_push(self, run_spec: str) -> str | Refusal:
        """Put an item into the queue: its id, or why it is refused."""
        names = {"entity_name": "me", "project_name": "model-registry", "queue_name": QUEUE}
        answer = self._ask(items_push.push_by_name, run_spec=run_spec, **names)
        return answer if isinstance(answer, Refusal) else str(answer["run_queue_item_id"])

    def stop(self, item_id: str, reason: str) -> dict[str, Any] | Refusal:
        """Ask for an item to be stopped."""
        answer: dict[str, Any] | Refusal = self._ask(items.stop, run_queue_item_id=item_id, reason=reason)
        return answer

    def items(self) -> dict[str, ItemRow]:
        """All items."""
        column = run_queue_items.c
        with self._database.engine.begin() as connection:
            rows = connection.exec_driver_sql(
                f"SELECT {column.id.name}, state, agent_id, lease_number, message, stop_requested"
                f" FROM {run_queue_items.name} ORDER BY number"
            ).all()
        return {row[0]: ItemRow(row[0], row[1], row[2], row[3], row[4], bool(row[5])) for row in rows}

    def agents(self) -> dict[str, str | None]:
        """The incarnation of each registered agent."""
        with self._database.engine.begin() as connection:
            rows = connection.exec_driver_sql(f"SELECT id, incarnation FROM {launch_agents.name}").all()
        return {row[0]: row[1] for row in rows}

    # -- agents

    def is_living(self, agent_id: str | None) -> bool:
        """Whether an agent was heard within the timeout."""
        with self._database.engine.begin() as connection:
            query = f"SELECT heard_at FROM {launch_agents.name} WHERE id = ?"
            heard_at = connection.exec_driver_sql(query, (agent_id,)).scalar()
        return heard_at is not None and self.now - heard_at <= SETTINGS.agent_timeout_seconds

    def create_agent(self, incarnation: str, machine_id: str) -> str | Refusal:
        """Register an agent."""
        answer = self._ask(
            agents.create,
            entity_name="me",
            run_queues=[self._queue_id],
            hostname=machine_id,
            incarnation=incarnation,
            machine_id=machine_id,
        )
        return answer if isinstance(answer, Refusal) else str(answer["launch_agent_id"])

    def resume(self, **given: Any) -> Any:
        """Resume an agent: `(returned, unknown to the agent, results)`."""
        answer = self._ask(heartbeats.resume, **given)
        self._note_shown(answer, given["held"])
        if isinstance(answer, Refusal):
            return answer
        return tuple(answer["returned"]), _held_by_server(answer), _results(answer)

    def watch(self, **given: Any) -> Any:
        """A heartbeat that does not wait: `(stops, unknown to the agent, must resume)`."""
        answer = self._ask(heartbeats.watch, wait_seconds=0.0, **given)
        self._note_shown(answer, given["held"])
        if isinstance(answer, Refusal):
            return answer
        stops = tuple(StopRequest(stop.item_id, stop.reason) for stop in answer["stops"])
        return stops, _held_by_server(answer), answer["must_resume"]

    def _note_shown(self, answer: Any, held: Sequence[dict[str, Any]]) -> None:
        if not isinstance(answer, Refusal):
            for one in held:
                self.shown_at.setdefault(one["run_queue_item_id"], self.now)

    def claim(self, **given: Any) -> Any:
        """A claim that does not wait: the leased items."""
        answer = self._ask(leases.claim, wait_seconds=0.0, max_schedulers=0, **given)
        if isinstance(answer, Refusal):
            return answer
        self.on_leased([one.item_id for one in answer["items"]], given["launch_agent_id"])
        return tuple(
            ClaimedItem(one.item_id, one.queue_name, json.loads(bytes(_JOB_KEYS.spec_of(one))), one.lease)
            for one in answer["items"]
        )

    def give_back(self, agent_id: str, claimed: tuple[ClaimedItem, ...]) -> Any:
        """Return leases that the agent does not want."""
        return self._ask(
            leases.return_items,
            launch_agent_id=agent_id,
            run_queue_item_ids=[one.item_id for one in claimed],
            leases=[one.lease for one in claimed],
        )

    def acknowledge(self, agent_id: str, acks: list[dict[str, Any]]) -> Any:
        """Acknowledge items: their answers by item id."""
        answer = self._ask(reports.acknowledge, launch_agent_id=agent_id, acks=acks)
        return answer if isinstance(answer, Refusal) else {one.item_id: one for one in _results(answer)}

    def report(self, agent_id: str, given: list[dict[str, Any]]) -> Any:
        """Report states or outcomes: the answers by item id."""
        answer = self._ask(reports.report, launch_agent_id=agent_id, reports=given)
        return answer if isinstance(answer, Refusal) else {one.item_id: one for one in _results(answer)}


def _results(answer: dict[str, Any]) -> tuple[ItemResult, ...]:
    return tuple(ItemResult(one.item_id, ItemAnswer(one.answer), one.message) for one in answer["results"])


def _held_by_server(answer: dict[str, Any]) -> tuple[HeldByServer, ...]:
    return tuple(
        HeldByServer(one.item_id, one.lease, one.queue_name, one.run_name) for one in answer["unknown_to_agent"]
    )
