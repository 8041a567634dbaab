"""Applying file stream updates to a run: lines, key statistics, summary, state."""

from sqlalchemy import Connection, bindparam, case, literal_column, update

from launchd.server.models import HISTORY, Run, Viewer
from launchd.server.runs import history_keys
from launchd.server.runs.file_stream import StreamUpdate
from launchd.server.store.clock import NOW
from launchd.server.store.runs import changes as run_changes
from launchd.server.store.runs import ends as run_ends
from launchd.server.store.runs import lines as run_lines
from launchd.server.store.runs import runs
from launchd.server.store.runs.states import CRASHED, PENDING, PREEMPTING, RUNNING, end_state
from launchd.server.store.sweeps import progress as sweep_progress
from launchd.server.store.tables import runs as runs_table

_state = runs_table.c.state
_HEARTBEAT = (
    update(runs_table)
    .where(runs_table.c.id == bindparam("of_id"))
    .values(
        heartbeat_at=bindparam("now"),
        heard_at=NOW,
        state=case((_state.in_((PENDING, CRASHED)), literal_column(f"'{RUNNING}'")), else_=_state),
    )
)
_PREEMPTING = update(runs_table).where(runs_table.c.id == bindparam("of_id"), _state == RUNNING)


def apply(connection: Connection, found: Run, received: StreamUpdate, now: float) -> None:
    """Store an update; it counts as a heartbeat, and a crashed run is running again.

    A client counts the lines that it has logged itself; those of a fork come behind the ones that it began with.
    """
    received = received.behind(found.inherited_lines)
    connection.execute(_HEARTBEAT, {"of_id": found.id, "now": now})
    for stream, lines in received.lines.items():
        run_lines.write(connection, found.id, stream, lines)
    runs.change(connection, found.id, _logged(found, received))
    if received.preempting:
        connection.execute(_PREEMPTING, {"of_id": found.id, "state": PREEMPTING})
    if received.exit_code is not None:
        preempting = received.preempting or found.state == PREEMPTING
        state = end_state(received.exit_code, stopped=found.stopped, preempting=preempting)
        run_ends.end(connection, found.id, state, now, received.exit_code)


def stop_early(connection: Connection, viewer: Viewer, found: Run, received: StreamUpdate) -> tuple[bool, str | None]:
    """Whether the run is to stop, after this update, and the launch agent to be woken for that."""
    behind = HISTORY in received.lines and sweep_progress.falls_behind(connection, found)
    if not behind or found.stopped or received.exit_code is not None:
        return found.stopped, None
    return True, run_changes.stop(connection, viewer, found.id, "It fell behind the other runs of its sweep.")


def _logged(found: Run, received: StreamUpdate) -> dict[str, str]:
    """Columns that summarise the logged lines. Lines sent again are not counted again."""
    values = {}
    new = [kinds for number, kinds in received.kinds.items() if number >= found.history_lines]
    if new:
        keys = history_keys.decode(found.history_keys)
        for kinds in new:
            keys.add_line(kinds)
        values["history_keys"] = history_keys.encode(keys)
    if received.summary is not None:
        values["summary"] = received.summary
    return values
