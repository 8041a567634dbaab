"""Aliases: words that stand for one member of a collection each. Owns their rows."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, delete, select

from launchd.server.errors import Refused
from launchd.server.models import ArtifactMembership
from launchd.server.store.artifacts.members import LATEST, is_version, newest_in
from launchd.server.store.tables import artifact_aliases
from launchd.server.store.upserts import insert_or_update

_LONGEST = 128

column = artifact_aliases.c
_IN_COLLECTION = (
    select(column.id, column.alias)
    .where(column.collection_id == bindparam("of_collection"), column.id > bindparam("after"))
    .order_by(column.id)
    .limit(bindparam("most"))
)
_OF_VERSION = (
    select(column.id, column.alias, column.collection_id)
    .where(column.artifact_number == bindparam("of_number"))
    .order_by(column.id)
)
_DELETE = delete(artifact_aliases).where(
    column.collection_id == bindparam("of_collection"),
    column.artifact_number == bindparam("of_number"),
    column.alias.in_(bindparam("words", expanding=True)),
)


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


def aliases_in(connection: Connection, collection_id: int, after: int, limit: int) -> list[tuple[int, str]]:
    """Id and word of each alias in a collection, from behind the one with the id `after`."""
    which = {"of_collection": collection_id, "after": after, "most": limit}
    return [(found.id, found.alias) for found in connection.execute(_IN_COLLECTION, which)]


def aliases_of(connection: Connection, number: int) -> dict[int, list[tuple[int, str]]]:
    """Id and word of each alias that a version was given, by the collection in which it stands for it."""
    given: dict[int, list[tuple[int, str]]] = {}
    for found in connection.execute(_OF_VERSION, {"of_number": number}):
        given.setdefault(found.collection_id, []).append((found.id, found.alias))
    return given


def move(connection: Connection, member: ArtifactMembership, words: Sequence[str]) -> None:
    """Make aliases stand for this version, and for no other of the collection any more."""
    check_aliases(words)
    _point(connection, member.collection.id, member.artifact.number, words)


def _point(connection: Connection, collection_id: int, number: int, words: Sequence[str]) -> None:
    rows = [{"collection_id": collection_id, "alias": word, "artifact_number": number} for word in words]
    insert_or_update(connection, artifact_aliases, rows, keys=("collection_id", "alias"), columns=("artifact_number",))


def remove(connection: Connection, member: ArtifactMembership, words: Sequence[str]) -> None:
    """Take aliases from this version; those it does not have in the collection are no mistake."""
    _remove(connection, member.collection.id, member.artifact.number, words)


def _remove(connection: Connection, collection_id: int, number: int, words: Sequence[str]) -> None:
    connection.execute(_DELETE, {"of_collection": collection_id, "of_number": number, "words": list(words)})


def replace(connection: Connection, member: ArtifactMembership, words: Sequence[str]) -> None:
    """Make these all of its aliases in the collection; its own `v<N>` may be among them."""
    wanted = [word for word in dict.fromkeys(words) if word != f"v{member.version_index}"]
    given = aliases_of(connection, member.artifact.number).get(member.collection.id, [])
    remove(connection, member, [word for _, word in given if word not in wanted])
    move(connection, member, wanted)


def remove_all(connection: Connection, number: int, *, only_in: int | None = None) -> None:
    """Take all aliases from a version that is no member any more, everywhere or in one collection.

    `latest` passes to the newest member that stays.
    """
    for collection_id, given in aliases_of(connection, number).items():
        if only_in not in (None, collection_id):
            continue
        words = [word for _, word in given]
        _remove(connection, collection_id, number, words)
        newest = newest_in(connection, collection_id) if LATEST in words else None
        if newest is not None:
            _point(connection, collection_id, newest, [LATEST])
