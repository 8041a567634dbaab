"""Claims of what fits: how long the decision takes on a host with 8 GPUs while 1,000 items wait."""

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from benchmarks.table import Figure, milliseconds, percentile
from ipc.gpus import GpuKind, GpuRequest, GpuSummary
from launchd.server.models import AgentIdentity, KeyRole, LaunchAgent, Viewer
from launchd.server.settings import ServerSettings
from launchd.server.store.accounts import accounts, api_keys, principals
from launchd.server.store.factory import migration_transaction
from launchd.server.store.launch import agents, fitting, items, leases, queues
from launchd.server.store.launch.demands import NONE, encode
from launchd.server.store.launch.taking import Lease
from launchd.server.store.migrate import migrate

WAITING = 1000
ROUNDS = 300
_GIB = 1 << 30
_MEMORIES = (None, *(size * _GIB for size in (16, 24, 40, 80)))
#: Seconds of a decision; the worst is that of demands which no two items share.
_TARGET, _WORST = 0.005, 0.02


def measure(directory: Path, _jobs: int) -> list[Figure]:
    """Return the times of the decision for an agent with one free GPU, and with all, by what waits."""
    usual = [encode(GpuRequest(count, (), memory)) for count, memory in itertools.product(range(1, 9), _MEMORIES)]
    different = [encode(GpuRequest(1 + number % 8, (), _GIB + number)) for number in range(WAITING)]
    plain = _times(directory / "plain", [NONE], None)
    return [
        _figure("40 different demands, no GPU free", _times(directory / "busy", usual, 0), plain),
        _figure("40 different demands, 1 GPU free", _times(directory / "one", usual, 1), plain),
        _figure("40 different demands, 8 GPUs free", _times(directory / "eight", usual, 8), plain),
        _figure("no demands, 8 GPUs free", _times(directory / "none", [NONE], 8), plain),
        _figure("each another demand, 1 GPU free", _times(directory / "different", different, 1), plain, _WORST),
    ]


class _Times(NamedTuple):
    """Seconds of claims: as they passed, and of the processor alone, which others of the machine do not change."""

    passed: list[float]
    processor: list[float]

    def __str__(self) -> str:
        return f"{milliseconds(self.passed)} (processor: {milliseconds(self.processor)})"


def _figure(name: str, times: _Times, plain: _Times, target: float = _TARGET) -> Figure:
    return Figure(
        f"claim while {WAITING} items wait: {name}",
        str(times),
        f"p50 ≤ {target * 1000:g} ms",
        f"any item: {plain}",
        percentile(times.passed, 50) <= target,
    )


def _times(directory: Path, demands: Sequence[str], free: int | None) -> _Times:
    """Return the times of the claims; ``free`` GPUs of 8, ``None``: the agent does not say. Nothing is kept."""
    with _store(directory) as connection:
        viewer, agent = _fill(connection, demands)
        gpus = None
        if free is not None:
            summary = GpuSummary((GpuKind("A100", 80 * _GIB, free, 8, 8),))
            gpus = fitting.Gpus(summary=summary, backfill_seconds=0.0)
        claims = [_claim(connection, viewer, agent, gpus, number) for number in range(ROUNDS)]
        return _Times([passed for passed, _ in claims], [processor for _, processor in claims])


def _claim(
    connection: Connection, viewer: Viewer, agent: LaunchAgent, gpus: fitting.Gpus | None, number: int
) -> tuple[float, float]:
    """Return the seconds of a claim, as they passed and of the processor; it is undone."""
    lease = Lease(viewer=viewer, agent_id=agent.id, claim_id=str(number), seconds=60.0)
    wanted = leases.Capacity(items=8, schedulers=0)
    savepoint = connection.begin_nested()
    before = time.perf_counter(), time.process_time()
    leases.claim(connection, agent, wanted, lease, gpus)
    after = time.perf_counter(), time.process_time()
    savepoint.rollback()
    return after[0] - before[0], after[1] - before[1]


@contextmanager
def _store(directory: Path) -> Iterator[Connection]:
    directory.mkdir()
    settings = ServerSettings(data_dir=directory)
    with migration_transaction(settings) as connection:
        migrate(connection, "the database")
    with migration_transaction(settings) as connection:
        yield connection


def _fill(connection: Connection, demands: Sequence[str]) -> tuple[Viewer, LaunchAgent]:
    """Put ``WAITING`` items into a queue, each with one of ``demands``; return an agent of the queue."""
    _, key = api_keys.issue(connection, accounts.first_user(connection, "me"), "key", KeyRole.ADMIN)
    viewer = api_keys.viewer_of_key(connection, api_keys.digest_of(key))
    assert viewer is not None
    entity = principals.require_entity(connection, viewer, "me")
    project, _ = principals.ensure_project(connection, entity, "p")
    queue_id = queues.create_queue(connection, viewer, project, "q", {})
    queue = queues.require_queue_by_id(connection, viewer, queue_id)
    draw = random.Random(1)
    shuffled = [demands[number % len(demands)] for number in range(WAITING)]
    draw.shuffle(shuffled)
    spec = '{"project": "p", "overrides": {"args": ["' + "x" * 1000 + '"]}}'
    for demand in shuffled:
        items.push(connection, queue, spec, None, None, priority=draw.randint(0, 3), is_scheduler=False, demand=demand)
    made = agents.create_agent(
        connection,
        viewer,
        entity,
        [queue_id],
        hostname="h",
        config=None,
        version=None,
        identity=AgentIdentity(incarnation="i"),
    )
    return viewer, agents.require_agent(connection, viewer, made)
