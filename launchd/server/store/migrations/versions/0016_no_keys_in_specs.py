"""API keys that submitters put into run specs are removed from them: jobs get keys of their own.

The new texts are written beside the old ones and compared with them before they take their place. An item whose key is
known here was pushed by its owner.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_KEY = "_wandb_api_key"

_Spec = dict[str, Any]


def upgrade() -> None:
    op.add_column("server_state", sa.Column("blanked_keys", sa.Integer(), nullable=False, server_default="0"))
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        # What is replaced is overwritten, not only given free.
        connection.execute(sa.text("PRAGMA secure_delete = ON"))
    op.create_table(
        "blanked_specs",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("spec", sa.Text(), nullable=False),
    )
    _set_submitters(connection)
    blanked = _blank(connection, "run_queue_items", "number", "run_spec", _without_key)
    blanked += _blank(connection, "sweeps", "id", "scheduler", _scheduler_without_key)
    op.drop_table("blanked_specs")
    connection.execute(sa.text("UPDATE server_state SET blanked_keys = :n"), {"n": blanked})


def downgrade() -> None:
    blanked = op.get_bind().execute(sa.text("SELECT blanked_keys FROM server_state")).scalar()
    if blanked:
        raise RuntimeError(
            f"This database cannot go back: the API keys of submitters were removed from {blanked} run specs, and an"
            " older server would hand these items out without them. Restore a copy from before the upgrade instead."
        )
    op.drop_column("server_state", "blanked_keys")


def _blank(connection: sa.Connection, table: str, key: str, column: str, blank: Callable[[_Spec], _Spec]) -> int:
    """Remove the keys from one column. Returns from how many rows.

    Raises:
        RuntimeError: what was written is not what was to be written; nothing is changed.
    """
    connection.execute(sa.text("DELETE FROM blanked_specs"))
    wanted = {}
    for number, text in connection.execute(_with_key(table, key, column)):
        before = json.loads(text)
        after = blank(before)
        if after != before:
            wanted[number] = after
    for number, after in wanted.items():
        connection.execute(
            sa.text("INSERT INTO blanked_specs (id, spec) VALUES (:id, :spec)"),
            {"id": number, "spec": json.dumps(after, ensure_ascii=False, separators=(",", ":"))},
        )
    _verify(connection, wanted, f"{table}.{column}")
    new = f"(SELECT spec FROM blanked_specs WHERE id = {table}.{key})"  # noqa: S608 - names from here
    replace = f"UPDATE {table} SET {column} = {new} WHERE {key} IN (SELECT id FROM blanked_specs)"  # noqa: S608
    connection.execute(sa.text(replace))
    return len(wanted)


def _with_key(table: str, key: str, column: str) -> sa.TextClause:
    # A client may have written the underscore in another way, but not the whole name.
    return sa.text(f"SELECT {key}, {column} FROM {table} WHERE {column} LIKE '%api%key%' ORDER BY {key}")  # noqa: S608 - names from here


def _verify(connection: sa.Connection, wanted: Mapping[int, _Spec], where: str) -> None:
    rows = connection.execute(sa.text("SELECT id, spec FROM blanked_specs"))
    written = {number: json.loads(text) for number, text in rows}
    if written != wanted:
        raise RuntimeError(f"Removing the API keys from {where} failed its check; nothing was changed.")


def _without_key(spec: _Spec) -> _Spec:
    return {name: value for name, value in spec.items() if name != _KEY}


def _scheduler_without_key(scheduler: _Spec) -> _Spec:
    """The run spec of a scheduler is JSON in a string."""
    try:
        spec = json.loads(scheduler.get("run_spec") or "{}")
    except ValueError:
        return scheduler
    if not isinstance(spec, dict) or _KEY not in spec:
        return scheduler
    return scheduler | {"run_spec": json.dumps(_without_key(spec))}


def _set_submitters(connection: sa.Connection) -> None:
    for number, text in connection.execute(_with_key("run_queue_items", "number", "run_spec")).all():
        given = json.loads(text).get(_KEY)
        if isinstance(given, str):
            digest = hashlib.sha256(given.encode()).hexdigest()
            connection.execute(
                sa.text(
                    "UPDATE run_queue_items SET submitter_id = (SELECT user_id FROM api_keys WHERE digest = :digest)"
                    " WHERE number = :number AND EXISTS (SELECT 1 FROM api_keys WHERE digest = :digest)"
                ),
                {"digest": digest, "number": number},
            )
