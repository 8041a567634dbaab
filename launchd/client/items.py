"""The submitter's side: push an item, look at it, stop it; and the states of runs and sweeps.

Owns the mapping of these operations to documents; one part of `QueueServer`.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec

from launchd.client.base import QUEUE_PROJECT, as_json
from launchd.client.errors import Refused, ServerBusy, ServerUnreachable
from launchd.client.models import Item, RunDetail, RunSource
from launchd.client.operations import launch, launchd_protocol, runs
from launchd.client.queues import QueueOperations
from launchd.client.responses import PushedItem, RunFields

T = TypeVar("T")

INSIST_SECONDS = 15.0
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 2.0

SWEEP_CANCELED = "CANCELED"


class ItemOperations(QueueOperations):
    """Operations on single items, and on the runs that they become."""

    def push(
        self,
        entity: str,
        queue: str,
        run_spec: Mapping[str, Any],
        *,
        project: str = QUEUE_PROJECT,
        priority: int | None = None,
        template_variables: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> str:
        """Put a run spec into a queue; returns the item's id. `priority`: 0 (critical), 1, 2 or 3 (low).

        On our server a push with the same `key` as an earlier one is that push, and answers its item. Without a key the
        push gets one of its own, under which it is repeated for `INSIST_SECONDS` while no answer comes.
        """
        optional: dict[str, Any] = {}
        if priority is not None:
            if not self.capabilities().push_priority:
                raise Refused(f"The server at {self.base_url} knows no priorities.")
            optional["priority"] = priority
        if template_variables:
            optional["templateVariableValues"] = as_json(template_variables)
        knows_keys = self.capabilities().push_key
        if knows_keys:
            optional["idempotencyKey"] = key or uuid.uuid4().hex
        operation = launch.push(tuple(optional))
        target = {"entity": entity, "project": project, "queue": queue, "runSpec": as_json(run_spec)}
        send = partial(self._call, operation, **target, **optional)
        pushed: PushedItem = _insist(send) if knows_keys and key is None else send()
        return pushed.run_queue_item_id

    def submits_for_others(self) -> bool:
        """Whether the key is a service account's, whose items may name another author. Native."""
        kind = self._call(launchd_protocol.VIEWER_KIND)
        return bool(kind and kind.is_service_account)

    def item(self, item_id: str) -> Item | None:
        """One item by its id alone, in whatever queue. Native; `Refused` elsewhere: use `queue_item`."""
        if not self.capabilities().launchd_protocol:
            raise Refused(f"The server at {self.base_url} finds an item in a named queue only: name the queue.")
        return self._call(launchd_protocol.ITEM, id=item_id)

    def queue_item(self, entity: str, queue: str, item_id: str, project: str = QUEUE_PROJECT) -> Item | None:
        """One item of a named queue, as any W&B server tells it: id, state and run id."""
        if not self.capabilities().item_by_id:
            # As W&B's clients do it at servers that cannot be asked for one item.
            return next((item for item in self.queue_items(entity, queue, project=project) if item.id == item_id), None)
        found = self._call(launch.QUEUE_ITEM, entity=entity, project=project, queue=queue, itemId=item_id)
        return found.run_queue.run_queue_item if found and found.run_queue else None

    def stop_item(self, item_id: str, reason: str) -> str:
        """Ask for an item's end; returns its state now. A queued one is stopped at once. Native."""
        answer = self._send(launchd_protocol.STOP_ITEM, runQueueItemId=item_id, reason=reason)
        if not answer.success:
            raise Refused(f"The server did not stop item {item_id}.")
        return answer.state

    def delete_item(self, entity: str, queue: str, item_id: str, project: str = QUEUE_PROJECT) -> bool:
        """Remove an item from its queue. False where the queue did not have it."""
        queue_id = self._queue_id(entity, queue, project)
        return bool(self._call(launch.DELETE_ITEM, queueId=queue_id, itemId=item_id).success)

    def run(self, entity: str, project: str, run_id: str) -> RunDetail | None:
        """The run, or None for an unknown one."""
        found = self._call(runs.RUN, entity=entity, project=project, name=run_id)
        return _detail(found.run) if found and found.run else None

    def run_source(self, entity: str, project: str, run_id: str) -> RunSource | None:
        """What the run ran, or None for an unknown run and for one that did not run in a git repository."""
        found = self._call(runs.RUN_INFO, entity=entity, project=project, name=run_id)
        info = found.run.run_info if found and found.run else None
        if info is None or info.git is None or not info.git.remote or not info.program:
            return None
        return RunSource(info.git.remote, info.git.commit, ("python", info.program, *(info.args or ())))

    def run_stopped(self, entity: str, project: str, run_id: str) -> bool:
        """Whether somebody asked the run to stop. An unknown run is not stopped."""
        found = self._call(runs.RUN_STOPPED, entity=entity, project=project, name=run_id)
        return bool(found and found.run and found.run.stopped)

    def run_state(self, entity: str, project: str, run_id: str) -> str | None:
        """The run's state as the server has it (`pending` until it called init), or None for an unknown run."""
        found = self._call(runs.RUN_STATE, entity=entity, project=project, name=run_id)
        return found.run.state if found and found.run else None

    def sweep_state(self, entity: str, project: str, sweep: str) -> str | None:
        """The sweep's state, or None for an unknown sweep."""
        found = self._call(runs.SWEEP_STATE, entity=entity, project=project, sweep=sweep)
        return found.sweep.state if found and found.sweep else None

    def cancel_sweep(self, entity: str, project: str, sweep: str) -> None:
        """Set a sweep's state to CANCELED; nothing happens where there is none of that name."""
        found = self._call(runs.SWEEP_STATE, entity=entity, project=project, sweep=sweep)
        if found and found.sweep:
            self._call(runs.SET_SWEEP_STATE, id=found.sweep.id, state=SWEEP_CANCELED, entity=entity, project=project)


def _detail(run: RunFields) -> RunDetail:
    config = _values(run.config, "_wandb")
    # W&B's client keeps each value as {"value": ..., "desc": ...}.
    plain = {name: one["value"] if isinstance(one, dict) and "value" in one else one for name, one in config.items()}
    summary = _values(run.summary_metrics, "_wandb")
    return RunDetail(run.name, run.display_name or run.name, run.state or "pending", bool(run.stopped), plain, summary)


def _values(text: str | None, without: str) -> dict[str, Any]:
    values = msgspec.json.decode(text or "{}", type=dict[str, Any] | None) or {}
    return {name: value for name, value in values.items() if name != without}


def _insist(call: Callable[[], T]) -> T:
    """What `call` answers, repeated while the server does not."""
    deadline, wait = time.monotonic() + INSIST_SECONDS, _FIRST_WAIT
    while True:
        try:
            return call()
        except (ServerUnreachable, ServerBusy):
            if time.monotonic() + wait > deadline:
                raise
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)
