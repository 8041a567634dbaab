"""States of a run, under W&B's names, and their meaning for the item behind it.

pending -> running -> finished | failed | killed | preempted      reported by the run's client, or by its agent
running <-> crashed            heartbeats stopped; heartbeats again
running -> preempting          its client expects to be preempted
any end -> running             the same run is started again (resumed)
"""

from launchd.server.store.launch import states

PENDING = "pending"
RUNNING = "running"
PREEMPTING = "preempting"
FINISHED = "finished"
FAILED = "failed"
KILLED = "killed"
CRASHED = "crashed"
PREEMPTED = "preempted"

STATES = (PENDING, RUNNING, PREEMPTING, FINISHED, FAILED, KILLED, CRASHED, PREEMPTED)
HEARTBEAT_STATES = (RUNNING, PREEMPTING)
"""States in which the client must send heartbeats."""
ALIVE = (PENDING, RUNNING, PREEMPTING)
NOT_ENDED = (PENDING, RUNNING, PREEMPTING, CRASHED)
"""States that an end may follow; crashed is only a guess."""

ITEM_STATUS = {FINISHED: "finished", FAILED: "failed", CRASHED: "failed", KILLED: "stopped", PREEMPTED: "preempted"}
"""Status of an item that follows its run."""
ITEM_STATE = {state: states.STATE_OF_STATUS[status] for state, status in ITEM_STATUS.items()}


def end_state(exit_code: int, *, stopped: bool, preempting: bool) -> str:
    """The state of a run that has exited. A stop or a preemption explains a failure, but not a success."""
    if exit_code == 0:
        return FINISHED
    if stopped:
        return KILLED
    return PREEMPTED if preempting else FAILED
