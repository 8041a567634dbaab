"""What a W&B server knows, as far as agents see it: queues, items, agents, runs, sweeps."""

import itertools
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

ENTITY = "me"


@dataclass
class StoredItem:
    """One run queue item. ``acks`` counts the acknowledgements that were accepted."""

    id: str
    queue: str
    run_spec: dict[str, Any]
    state: str = "PENDING"
    run_id: str | None = None
    leased_at: float = 0.0
    acks: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    file_paths: list[str] | None = None


@dataclass
class StoredRun:
    """One run; ``pending`` until somebody starts it. ``beats`` counts what its file stream brought."""

    state: str = "pending"
    job_type: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    uploaded: list[str] = field(default_factory=list)
    beats: int = 0


@dataclass(frozen=True)
class StoredArtifact:
    """The only version of an artifact."""

    id: str
    kind: str
    name: str
    files: dict[str, bytes]


class WandbState:
    """Everything the server has; open to the test. ``lock`` guards it."""

    def __init__(self, queues: tuple[str, ...], lease_seconds: float, own_url: str) -> None:
        self.lock = threading.RLock()
        self.lease_seconds = lease_seconds
        self.own_url = own_url
        self.queues = queues
        self.items: dict[str, StoredItem] = {}
        self.statuses: dict[str, list[str]] = {}
        self.is_team = False
        self.stop_polling = False
        self.runs: dict[str, StoredRun] = {}
        self.stopped_runs: set[str] = set()
        self.sweeps: dict[str, str] = {}
        self.artifacts: dict[str, StoredArtifact] = {}
        self.asked: Counter[str] = Counter()
        self.popped_from: list[str] = []
        #: Queues of which the server gives no items, for a reason of its own.
        self.broken_queues: set[str] = set()
        self.history: list[str] = []
        self._numbers = itertools.count(1)

    def push(self, queue: str, **spec: Any) -> str:
        """Queue an item; returns its id."""
        with self.lock:
            item_id = f"item-{next(self._numbers)}"
            run_spec = {"entity": ENTITY, "project": "tests", "resource": "local-process", **spec}
            self.items[item_id] = StoredItem(item_id, queue, run_spec)
        return item_id

    def state(self, item_id: str) -> str:
        with self.lock:
            return self.items[item_id].state

    def start_run(self, run_id: str, state: str = "running") -> None:
        """Have a run begin, as ``wandb.init`` in its job does."""
        with self.lock:
            self.runs.setdefault(run_id, StoredRun()).state = state

    def keep(self, kind: str, name: str, files: dict[str, bytes]) -> str:
        """Keep files as an artifact; returns its id."""
        with self.lock:
            artifact = StoredArtifact(f"artifact-{next(self._numbers)}", kind, name, files)
            self.artifacts[artifact.id] = artifact
        return artifact.id

    def make_job(self, name: str, source: dict[str, Any]) -> None:
        """Have a job, as `wandb job create code` makes it of a code artifact."""
        job = {"_version": "v0", "source_type": "artifact", "source": source, "runtime": "3.11"}
        self.keep("job", name, {"wandb-job.json": json.dumps(job).encode(), "requirements.frozen.txt": b""})
