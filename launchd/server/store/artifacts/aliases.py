"""Aliases of artifact versions: each stands for one member of a collection."""

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
    column.alias.in_(bindparam("aliases", expanding=True)),
)


def check_aliases(aliases: Iterable[str]) -> None:
    """Check new aliases.

    Raises:
        Refused: one is empty, too long, contains `/` or `:`, or has the form of a version's number.
    """
    for alias in aliases:
        if not 0 < len(alias) <= _LONGEST or not alias.isprintable() or any(sign in alias for sign in "/:"):
            rule = f"1 to {_LONGEST} printable characters, neither / nor :"
            raise Refused(f"{alias[:80]!r} is no alias: {rule}.")
        if is_version(alias):
            raise Refused(f"{alias!r} is no alias: the server gives v0, v1, ... to the versions in their order.")


def aliases_in(connection: Connection, collection_id: int, after: int, limit: int) -> list[tuple[int, str]]:
    """Id and name of each alias in a collection, after the one with the id `after`."""
    which = {"of_collection": collection_id, "after": after, "most": limit}
    return [(found.id, found.alias) for found in connection.execute(_IN_COLLECTION, which)]


def aliases_of(connection: Connection, number: int) -> dict[int, list[tuple[int, str]]]:
    """Id and name of each alias of a version, by collection."""
    given: dict[int, list[tuple[int, str]]] = {}
    for found in connection.execute(_OF_VERSION, {"of_number": number}):
        given.setdefault(found.collection_id, []).append((found.id, found.alias))
    return given


def move(connection: Connection, member: ArtifactMembership, aliases: Sequence[str]) -> None:
    """Move aliases to this version, from any other of the collection."""
    check_aliases(aliases)
    _point(connection, member.collection.id, member.artifact.number, aliases)


def _point(connection: Connection, collection_id: int, number: int, aliases: Sequence[str]) -> None:
    rows = [{"collection_id": collection_id, "alias": alias, "artifact_number": number} for alias in aliases]
    insert_or_update(connection, artifact_aliases, rows, keys=("collection_id", "alias"), columns=("artifact_number",))


def remove(connection: Connection, member: ArtifactMembership, aliases: Sequence[str]) -> None:
    """Remove aliases from this version; those it does not have are ignored."""
    _remove(connection, member.collection.id, member.artifact.number, aliases)


def _remove(connection: Connection, collection_id: int, number: int, aliases: Sequence[str]) -> None:
    connection.execute(_DELETE, {"of_collection": collection_id, "of_number": number, "aliases": list(aliases)})


def replace(connection: Connection, member: ArtifactMembership, aliases: Sequence[str]) -> None:
    """Set the version's aliases in the collection; its own `v<N>` may be among them."""
    wanted = [alias for alias in dict.fromkeys(aliases) if alias != f"v{member.version_index}"]
    given = aliases_of(connection, member.artifact.number).get(member.collection.id, [])
    remove(connection, member, [alias for _, alias in given if alias not in wanted])
    move(connection, member, wanted)


def remove_all(connection: Connection, number: int, *, only_in: int | None = None) -> None:
    """Remove all aliases of a version that is no member any more, everywhere or in one collection.

    `latest` passes to the newest remaining member.
    """
    for collection_id, given in aliases_of(connection, number).items():
        if only_in not in (None, collection_id):
            continue
        aliases = [alias for _, alias in given]
        _remove(connection, collection_id, number, aliases)
        newest = newest_in(connection, collection_id) if LATEST in aliases else None
        if newest is not None:
            _point(connection, collection_id, newest, [LATEST])
