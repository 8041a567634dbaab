"""Work orders for tests."""

from pathlib import Path
from typing import Any

from ipc.run_spec import RunSpec
from ipc.work_order import WorkOrder


def an_order(directory: Path, name: str = "launchd-0123456789abcdef-1", /, **changes: Any) -> WorkOrder:
    """Return the order of a first attempt in ``directory``; ``changes`` are those of its fields."""
    values: dict[str, Any] = {
        "name": name,
        "item_id": "item1",
        "queue": "gpus",
        "entity": "team",
        "attempt": 1,
        "base_url": "http://localhost:1",
        "spec": RunSpec(entity="ada", project="engine", run_id="run1", resource="fake"),
        "directory": str(directory),
    }
    return WorkOrder(**values | changes)
