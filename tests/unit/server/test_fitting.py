"""Which items fit an agent, in which order, and for which ones GPUs are held back: the decision without a database."""

from collections.abc import Sequence

import pytest

from ipc.gpus import GpuKind, GpuRequest, GpuSummary
from launchd.server.errors import Refused
from launchd.server.launch.gpu_demands import demand_of
from launchd.server.store.launch.demands import NONE, compete, decode, encode, held_back, left_after
from launchd.server.store.launch.fitting import Candidates, Gpus, Head
from tests.support.gpu_offers import GIB, spec

BACKFILL = 60.0


def host(free: int, total: int = 8, *, memory: int = 80, names: Sequence[str] = ()) -> GpuSummary:
    return GpuSummary((GpuKind("A100", memory * GIB, free, total, total),), tuple(names), tuple(names))


def head(number: int, gpus: int | None, *, queue: str = "q", priority: int = 2, passed: float | None = None) -> Head:
    demand = NONE if gpus == 0 else encode(GpuRequest(gpus))
    return Head(queue_id=queue, demand=demand, number=number, priority=priority, passed_seconds=passed)


def chosen(heads: list[Head], free: GpuSummary, queue: str = "q") -> int | None:
    choice = Candidates(heads, Gpus(summary=free, backfill_seconds=BACKFILL)).choose(queue)
    return choice.head.number if choice else None


def test_the_first_that_fits_is_chosen_by_priority_and_age() -> None:
    assert chosen([head(1, 4), head(2, 2), head(3, 1)], host(2)) == 2
    assert chosen([head(1, 4), head(2, 2), head(3, 1, priority=1)], host(2)) == 3
    assert chosen([head(1, 4), head(2, 2)], host(1)) is None
    assert chosen([head(1, 4), head(9, 0)], host(0)) == 9, "an item without GPUs always fits"


def test_what_was_passed_for_long_holds_gpus_back() -> None:
    assert chosen([head(1, 4, passed=BACKFILL - 1), head(2, 1)], host(3)) == 2
    assert chosen([head(1, 4, passed=BACKFILL), head(2, 1)], host(3)) is None
    assert chosen([head(1, 4, passed=BACKFILL), head(2, 1)], host(4)) == 1, "it fits now"
    assert chosen([head(1, 4, passed=BACKFILL), head(2, 1, priority=1)], host(3)) == 2, "it goes before"
    assert chosen([head(1, 16, passed=BACKFILL), head(2, 1)], host(3)) == 2, "it never fits here"
    assert chosen([head(1, 4, passed=BACKFILL), head(2, 0)], host(3)) == 2, "it asks for none"


def test_a_gpu_that_is_set_aside_keeps_no_others_idle() -> None:
    broken = GpuSummary((GpuKind("A100", 80 * GIB, 3, 7, 8),))
    assert chosen([head(1, 8, passed=BACKFILL), head(2, 1)], broken) == 2
    assert chosen([head(1, 7, passed=BACKFILL), head(2, 1)], broken) is None


def test_gpus_are_held_back_from_other_queues_of_the_agent_too() -> None:
    heads = [head(1, 4, queue="a", passed=BACKFILL), head(2, 1, queue="b")]
    assert chosen(heads, host(3), "b") is None
    assert chosen(heads, host(4), "b") is None, "the other queue's turn comes"
    assert chosen(heads, host(5), "b") == 2, "there is one beside it"


def test_only_what_waits_for_the_same_gpus_is_passed() -> None:
    free = GpuSummary((GpuKind("A100", 80 * GIB, 0, 8, 8), GpuKind("T4", 16 * GIB, 2, 2, 2)))
    large = Head(queue_id="q", demand=encode(GpuRequest(2, (), 40 * GIB)), number=1, priority=2, passed_seconds=None)
    candidates = Candidates([large, head(2, 1)], Gpus(summary=free, backfill_seconds=BACKFILL))
    choice = candidates.choose("q")
    assert choice is not None
    assert (choice.head.number, choice.passed) == (2, ())
    choice = Candidates([head(1, 4), head(2, 1)], Gpus(summary=host(2), backfill_seconds=BACKFILL)).choose("q")
    assert choice is not None
    assert [one.number for one in choice.passed] == [1]


def test_what_never_fits_here_waits_for_no_gpu_of_this_host() -> None:
    candidates = Candidates([head(1, 16), head(2, 1)], Gpus(summary=host(2), backfill_seconds=BACKFILL))
    choice = candidates.choose("q")
    assert choice is not None
    assert (choice.head.number, choice.passed) == (2, ())


def test_once_all_gpus_are_given_items_without_are_chosen() -> None:
    candidates = Candidates([head(1, 2), head(2, 1), head(3, 0)], Gpus(summary=host(2), backfill_seconds=BACKFILL))
    given = []
    while choice := candidates.choose("q"):
        given.append(choice.head.number)
        candidates.give(choice.head)
        candidates.replace(choice.head, None)
    assert given == [1, 3]


def test_an_item_is_held_up_by_the_one_that_gpus_are_held_back_for() -> None:
    heads = [head(1, 4, passed=BACKFILL), head(2, 1)]
    candidates = Candidates(heads, Gpus(summary=host(3), backfill_seconds=BACKFILL))
    holder = candidates.holder((2, 2), encode(GpuRequest(1)))
    assert holder is not None
    assert holder.number == 1
    assert candidates.holder((1, 2), encode(GpuRequest(1))) is None


def test_what_is_left_is_left_in_any_case() -> None:
    two_kinds = GpuSummary((GpuKind("A100", 80 * GIB, 2, 2, 2), GpuKind("T4", 16 * GIB, 2, 2, 2)), ("0",), ("0",))
    after = left_after(two_kinds, GpuRequest(1))
    assert [one.free for one in after.kinds] == [1, 1]
    assert after.free_devices == (), "which one it gets is not known"
    assert [one.free for one in left_after(two_kinds, GpuRequest(1, (), 40 * GIB)).kinds] == [1, 2]
    assert [one.free for one in left_after(two_kinds, GpuRequest(None)).kinds] == [0, 0]
    assert [one.free for one in held_back(two_kinds, GpuRequest(4, (), 40 * GIB)).kinds] == [0, 2]
    assert [one.free for one in held_back(two_kinds, GpuRequest(2, ("0", "7"))).kinds] == [1, 1]


def test_requests_compete_for_gpus_that_either_could_get() -> None:
    free = GpuSummary((GpuKind("A100", 80 * GIB, 0, 2, 2), GpuKind("T4", 16 * GIB, 2, 2, 2)), ("0", "1"), ("0", "1"))
    assert compete(free, GpuRequest(1), GpuRequest(2))
    assert not compete(free, GpuRequest(1), GpuRequest(2, (), 40 * GIB)), "none of those is free"
    assert not compete(free, GpuRequest(1, ("0",)), GpuRequest(1, ("1",)))


def test_the_same_demand_has_one_text() -> None:
    one = demand_of(spec(2, memory="40 GiB"))
    assert one == demand_of(spec("2", memory=str(40 * GIB) and "40960 MiB"))
    assert decode(one) == GpuRequest(2, (), 40 * GIB)
    with_capabilities = demand_of(
        {"resource_args": {"local-container": {"gpus": '2,"capabilities=compute,utility"'}}, "resource": None}
    )
    assert decode(with_capabilities) == GpuRequest(2)


@pytest.mark.parametrize(
    "gpus",
    ["two", -3, 1.5, {"count": 1}, "device=", "device=0,0", "count=1,device=0", 5000],
    ids=str,
)
def test_nonsense_is_refused_with_the_key(gpus: object) -> None:
    with pytest.raises(Refused, match=r"resource_args\.local-process\.launchd\.gpus in the run spec"):
        demand_of(spec(gpus))


def test_names_that_no_index_has_room_for_are_refused() -> None:
    names = ",".join(f"GPU-{number:0100}" for number in range(30))
    with pytest.raises(Refused, match="no host has so many"):
        demand_of(spec(f"device={names}"))


@pytest.mark.parametrize(
    "given",
    [
        spec(0),
        spec(None),
        {"resource": "local-process", "resource_args": {}},
        {"resource": "kubernetes", "resource_args": {"kubernetes": {"launchd": {"gpus": "nonsense"}}}},
        {"resource": "local-process", "resource_args": {"local-process": "text"}},
        spec(2) | {"uri": "placeholder-uri-scheduler"},
    ],
    ids=["zero", "null", "none", "elsewhere", "no object", "scheduler"],
)
def test_what_asks_for_no_gpu_of_a_host_has_no_demand(given: dict[str, object]) -> None:
    assert demand_of(given) == NONE
