"""The organization of an entity: there is none. Owns how those hear of it who look for one.

W&B's clients ask for its name where a registry is meant, and would otherwise speak of a team that is missing.
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
