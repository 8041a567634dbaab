"""Links of versions to portfolios."""

import time
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from launchd.server.errors import NotFound, Refused
from launchd.server.models import Artifact, ArtifactMembership, Collection, EntityRecord
from launchd.server.store.artifacts import aliases as artifact_aliases
from launchd.server.store.artifacts import collections as artifact_collections
from launchd.server.store.artifacts.artifacts import COMMITTED
from launchd.server.store.artifacts.members import LATEST
from launchd.server.store.tables import artifact_collections as collection_rows
from launchd.server.store.tables import artifact_links

REGISTRY_PREFIX = "wandb-registry-"
"""Prefix of the projects that are registries of an organization, by W&B's convention."""
NO_REGISTRIES = (
    "This server has no registries of organizations: link the artifact to a collection of a project, "
    "'ENTITY/PROJECT/COLLECTION', and use it from there."
)

column = artifact_links.c
_OF_VERSION = column.artifact_number == bindparam("of_number")
_ONE = (_OF_VERSION, column.collection_id == bindparam("of_collection"))
_FIND = select(column.version_index, column.linked_at).where(*_ONE)
_DELETE = delete(artifact_links).where(*_ONE)
_DELETE_ALL = delete(artifact_links).where(_OF_VERSION)
_OF_COLLECTION = collection_rows.c.id == bindparam("of_collection")
_COUNT_UP = update(collection_rows).where(_OF_COLLECTION).values(links_made=collection_rows.c.links_made + 1)
_LAST = select(collection_rows.c.links_made - 1).where(_OF_COLLECTION)


def ensure_portfolio(
    connection: Connection, entity: EntityRecord, project_name: str, type_name: str, name: str
) -> Collection:
    """The portfolio, created if missing together with its project.

    Raises:
        Refused: the name is invalid, its owner has another type or is no portfolio, or the project would be a registry.
    """
    if project_name.startswith(REGISTRY_PREFIX):
        raise Refused(NO_REGISTRIES)
    return artifact_collections.ensure_collection(connection, entity, project_name, type_name, name, is_portfolio=True)


def link(connection: Connection, portfolio: Collection, found: Artifact, aliases: Sequence[str]) -> ArtifactMembership:
    """Link a version to a portfolio; `latest` and the aliases move to it there.

    Linked again, it keeps its number in the portfolio.

    Raises:
        Refused: the version is not committed, or an alias is invalid.
    """
    if found.state != COMMITTED:
        raise Refused(f"Artifact {found.title!r} is {found.state}, so it cannot be linked.")
    made = find(connection, portfolio, found) or _insert(connection, portfolio, found)
    artifact_aliases.move(connection, made, list(dict.fromkeys([LATEST, *aliases])))
    return made


def find(connection: Connection, portfolio: Collection, artifact: Artifact) -> ArtifactMembership | None:
    """The version's membership in the portfolio, if it is linked there."""
    row = connection.execute(_FIND, {"of_collection": portfolio.id, "of_number": artifact.number}).first()
    return _membership(portfolio, artifact, *row) if row else None


def _insert(connection: Connection, portfolio: Collection, artifact: Artifact) -> ArtifactMembership:
    connection.execute(_COUNT_UP, {"of_collection": portfolio.id})
    index, now = connection.execute(_LAST, {"of_collection": portfolio.id}).scalar_one(), time.time()
    row = {"collection_id": portfolio.id, "artifact_number": artifact.number, "version_index": index, "linked_at": now}
    connection.execute(insert(artifact_links), row)
    return _membership(portfolio, artifact, index, now)


def _membership(portfolio: Collection, artifact: Artifact, index: int, linked_at: float) -> ArtifactMembership:
    return ArtifactMembership(collection=portfolio, artifact=artifact, version_index=index, created_at=linked_at)


def unlink(connection: Connection, portfolio: Collection, artifact: Artifact) -> None:
    """Remove a version and its aliases from a portfolio. Its number there is not used again.

    Raises:
        NotFound: it is not linked there.
    """
    if not connection.execute(_DELETE, {"of_collection": portfolio.id, "of_number": artifact.number}).rowcount:
        raise NotFound(f"Artifact {artifact.title!r} is not linked to {portfolio.name!r}.")
    artifact_aliases.remove_all(connection, artifact.number, only_in=portfolio.id)


def unlink_everywhere(connection: Connection, number: int) -> None:
    """Remove a deleted version from all portfolios; its aliases there are kept for now."""
    connection.execute(_DELETE_ALL, {"of_number": number})
