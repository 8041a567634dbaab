"""The order in which the processes of a run import the modules of its tests, and what they leave to the collector."""

import gc

import pytest

from tests.support.collecting import begun_at


@pytest.mark.parametrize("processes", [1, 2, 4, 7])
def test_each_process_begins_at_another_module_and_leaves_none_out(processes: int) -> None:
    modules = [f"tests.test_{number}" for number in range(10)]

    orders = [begun_at(modules, number, processes) for number in range(processes)]

    assert len({order[0] for order in orders}) == processes
    assert all(sorted(order) == modules for order in orders)


def test_what_was_collected_is_looked_through_no_more() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000
