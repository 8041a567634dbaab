"""Aliases: words that stand for one version of a collection each. Owns their rows."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, delete, select

from launchd.server.errors import Refused
from launchd.server.records import Artifact
from launchd.server.store.artifacts import LATEST, is_version, latest_of
from launchd.server.store.tables import artifact_aliases
from launchd.server.store.upserts import insert_or_update

_LONGEST = 128

column = artifact_aliases.c
_GIVEN = select(column.alias).where(column.artifact_number == bindparam("of_number"))
_DELETE = delete(artifact_aliases).where(
    column.artifact_number == bindparam("of_number"), column.alias.in_(bindparam("words", expanding=True))
)
_DELETE_ALL = delete(artifact_aliases).where(column.artifact_number == bindparam("of_number"))


def check_aliases(words: Iterable[str]) -> None:
    """Check aliases that somebody wants.

    Raises:
        Refused: one is empty, too long, holds a sign that paths and names use, or is kept for a version's number.
    """
    for word in words:
        if not 0 < len(word) <= _LONGEST or not word.isprintable() or any(sign in word for sign in "/:"):
            rule = f"1 to {_LONGEST} printable characters, neither / nor :"
            raise Refused(f"{word[:80]!r} is no alias: {rule}.")
        if is_version(word):
            raise Refused(f"{word!r} is no alias: the server gives v0, v1, ... to the versions in their order.")


def move(connection: Connection, artifact: Artifact, words: Sequence[str]) -> None:
    """Make aliases stand for this version, and for no other of its collection any more."""
    check_aliases(words)
    collection_id = artifact.collection.id
    rows = [{"collection_id": collection_id, "alias": word, "artifact_number": artifact.number} for word in words]
    insert_or_update(connection, artifact_aliases, rows, keys=("collection_id", "alias"), columns=("artifact_number",))


def remove(connection: Connection, artifact: Artifact, words: Sequence[str]) -> None:
    """Take aliases from this version; those it does not have are no mistake."""
    connection.execute(_DELETE, {"of_number": artifact.number, "words": list(words)})


def replace(connection: Connection, artifact: Artifact, words: Sequence[str]) -> None:
    """Make these all of its aliases; its own `v<N>` may be among them."""
    wanted = [word for word in dict.fromkeys(words) if word != f"v{artifact.version_index}"]
    given = connection.execute(_GIVEN, {"of_number": artifact.number}).scalars().all()
    remove(connection, artifact, [word for word in given if word not in wanted])
    move(connection, artifact, wanted)


def remove_all(connection: Connection, artifact: Artifact) -> None:
    """Take all aliases from a version that is deleted; `latest` passes to the newest one that stays."""
    given = connection.execute(_GIVEN, {"of_number": artifact.number}).scalars().all()
    connection.execute(_DELETE_ALL, {"of_number": artifact.number})
    newest = latest_of(connection, artifact.collection.id) if LATEST in given else None
    if newest is not None:
        move(connection, newest, [LATEST])
