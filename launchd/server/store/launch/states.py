"""States of a run queue item, priorities, and the effect of a reported status on item and run.

PENDING -> LEASED -> CLAIMED -> FINISHED | FAILED | STOPPED | PREEMPTED
LEASED -> PENDING     the lease ended, or the agent gave the item back
LEASED -> FAILED      the agent could not start it (the other ends likewise)
PENDING -> STOPPED    stopped before any agent took it
"""

PENDING = "PENDING"
LEASED = "LEASED"
CLAIMED = "CLAIMED"
FINISHED = "FINISHED"
FAILED = "FAILED"
STOPPED = "STOPPED"
PREEMPTED = "PREEMPTED"

HELD = (LEASED, CLAIMED)
"""States in which an agent holds the item."""

STATE_OF_STATUS = {"finished": FINISHED, "failed": FAILED, "stopped": STOPPED, "preempted": PREEMPTED}
"""Reported statuses that end an item."""

ENDED = frozenset(STATE_OF_STATUS.values())
"""States in which an item is over."""

STATUSES = frozenset({"starting", "running", "stopping", "unknown", *STATE_OF_STATUS})
"""All statuses an agent may report, under W&B's names."""

RUNNING = ("running", "stopping")
"""Statuses of a process that runs."""

RUN_END_OF_STATUS = {"finished": "finished", "failed": "failed", "stopped": "killed", "preempted": "preempted"}
"""State of the run when its item ends with this status."""

STATUS_OF_STATE = {PENDING: "queued", LEASED: "leased", CLAIMED: "starting"} | {
    state: status for status, state in STATE_OF_STATUS.items()
}
"""Status shown before the agent has reported one."""

HIGHEST_PRIORITY, LOWEST_PRIORITY, DEFAULT_PRIORITY = 0, 3, 2
