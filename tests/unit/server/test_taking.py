"""What a claim leases while others push: on PostgreSQL their items come between its statements."""

from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Connection

from ipc.gpus import GpuKind, GpuRequest, GpuSummary
from launchd.server.settings import ServerSettings
from launchd.server.store.factory import migration_transaction
from launchd.server.store.launch import fitting
from launchd.server.store.launch.demands import encode
from tests.support.gpu_offers import GIB
from tests.support.launch_store import LaunchStore

pytestmark = pytest.mark.dialect


@pytest.fixture
def store(settings: ServerSettings) -> Iterator[LaunchStore]:
    with migration_transaction(settings) as connection:
        yield LaunchStore(connection)


def one_free() -> fitting.Gpus:
    return fitting.Gpus(summary=GpuSummary((GpuKind("A100", 80 * GIB, 1, 8, 8),)), backfill_seconds=60.0)


def test_an_item_that_comes_while_a_claim_looks_is_not_leased_unless_it_fits(
    store: LaunchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, pushed = store.add_agent("host"), []
    heads_of = fitting.heads_of

    def look_slowly(connection: Connection, queues: Sequence[str]) -> object:
        found = heads_of(connection, queues)
        if not pushed:
            pushed.extend([store.push(encode(GpuRequest(2))), store.push(), store.push(encode(GpuRequest(1)))])
        return found

    monkeypatch.setattr(fitting, "heads_of", look_slowly)

    assert store.claim(agent, "c1", 3, one_free()) == [pushed[1]], "it asks for no GPU"
    assert store.claim(agent, "c2", 3, one_free()) == [pushed[2]], "it fits"
