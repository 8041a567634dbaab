"""States of a run queue item, its priorities, and what a reported status makes of item and run. Owns the words.

PENDING -> LEASED -> CLAIMED -> FINISHED | FAILED | STOPPED | PREEMPTED
LEASED -> PENDING     the lease ended, or the agent gave the item back
LEASED -> FAILED      the agent could not even start (the other ends likewise)
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
"""States in which an agent answers for the item."""

STATE_OF_STATUS = {"finished": FINISHED, "failed": FAILED, "stopped": STOPPED, "preempted": PREEMPTED}
"""Reported statuses that end an item."""

STATUSES = frozenset({"starting", "running", "stopping", "unknown", *STATE_OF_STATUS})
"""All statuses an agent may report (W&B's words)."""

RUNNING = ("running", "stopping")
"""Statuses of a process that runs."""

RUN_END_OF_STATUS = {"finished": "finished", "failed": "failed", "stopped": "killed", "preempted": "preempted"}
"""How the run ends when the item does."""

STATUS_OF_STATE = {PENDING: "queued", LEASED: "leased", CLAIMED: "starting"} | {
    state: status for status, state in STATE_OF_STATUS.items()
}
"""Status shown while the agent has reported none."""

HIGHEST_PRIORITY, LOWEST_PRIORITY, DEFAULT_PRIORITY = 0, 3, 2
