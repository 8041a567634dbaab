"""The organization of an entity: there is none, and asking for its name raises an error that says so.

W&B's clients ask for the name where a registry is meant, and would otherwise report a missing team.
"""

from typing import NoReturn

from ariadne import ObjectType

from launchd.server.context import Info
from launchd.server.errors import Refused
from launchd.server.models import EntityRecord
from launchd.server.store.artifacts.links import NO_REGISTRIES

entity = ObjectType("Entity")
organization = ObjectType("Organization")
bindables = [entity, organization]


@entity.field("organization")
def resolve_organization(found: EntityRecord, info: Info) -> EntityRecord:
    return found


@organization.field("coreWeaveOrganizationId")
def resolve_core_weave(found: EntityRecord, info: Info) -> None:
    """Every run of W&B's clients asks for it."""


@organization.field("id")
@organization.field("name")
@organization.field("orgEntity")
def resolve_name(found: EntityRecord, info: Info) -> NoReturn:
    raise Refused(NO_REGISTRIES)
