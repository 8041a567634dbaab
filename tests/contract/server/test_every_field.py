"""Every root field of the schema, called by those who may not: nothing is shown to them, nothing changes.

A field that is new needs a row in `tests/support/field_args.py`: the arguments with which it reaches an object of a
`World`. The rest follows from it: the field is called with them by their owner (it must work), by a stranger, with each
of them in turn mixed into the stranger's own, by an administrator of the server, and by a member of the team who may
only look.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.field_args import FIELDS, ROWS, SHOWN
from tests.support.isolation import Isolation, ask, setting
from tests.support.server import Api
from tests.support.tenant import Tenant

# It compares all rows of the database before and after, and reads them from the file.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

LOOKS_AT_THE_SERVER = {"Query.serverInfo", "Query.organization"}
"""Fields that show no one user's objects."""
ADMINISTRATORS = {
    "Mutation.createUser",
    "Mutation.createTeam",
    "Mutation.collectGarbage",
    "Mutation.applyRetention",
    "Mutation.resetApiKeys",
    "Mutation.deleteUser",
}
"""Fields for administrators of the server only; what they create belongs to no tenant yet."""
MANAGE_USERS = {
    "Query.users",
    "Mutation.deleteApiKey",
    "Mutation.createInvite",
    "Mutation.deleteInvite",
    "Mutation.createServiceAccount",
    "Mutation.deleteTeam",
    "Mutation.deleteServiceAccount",
}
"""Fields that an administrator may use on the members of any team."""
KEEP_NOTHING = {"Mutation.createArtifactType", "Mutation.collectGarbage", "Mutation.applyRetention"}
"""Mutations without anything to write: a type exists while a collection has it; there is no garbage, and no rule."""
NEED_NO_ENTITY = {"Query.viewer", "Query.users", "Mutation.generateApiKey", "Mutation.deleteApiKey"}
"""Fields about the caller, for which roles in a team do not matter."""

TRIED = [field for field in FIELDS if field in ROWS]


@pytest.fixture(scope="module")
def isolation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Isolation]:
    with setting(tmp_path_factory.mktemp("server")) as made:
        yield made


def mixtures(own: Any, theirs: Any) -> Iterator[Any]:
    """`own`, with one leaf of it in turn taken from `theirs`."""
    if isinstance(own, Mapping):
        for key in own:
            for mixed in mixtures(own[key], theirs[key]):
                yield {**own, key: mixed}
    elif isinstance(own, list):
        for place, _ in enumerate(own):
            for mixed in mixtures(own[place], theirs[place]):
                yield [*own[:place], mixed, *own[place + 1 :]]
    elif own != theirs:
        yield theirs


def check(isolation: Isolation, api: Api, field: str, arguments: dict[str, Any], *, may_look: bool = False) -> None:
    before = isolation.snapshot()
    answer = ask(api, field, arguments)
    assert isolation.snapshot().changes_of(isolation.theirs, before) == [], f"{field} {arguments}: {answer}"
    assert may_look or revealed_by(isolation.victim, field, answer) == [], (
        f"{field} {arguments} shows too much: {answer}"
    )


def revealed_by(tenant: Tenant, field: str, answer: str) -> list[str]:
    """What a response reveals of a tenant to others."""
    secrets = [tenant.hidden, *(show(tenant) for name, show in SHOWN.items() if name == field)]
    return [secret for secret in secrets if secret in answer]


@pytest.mark.parametrize("field", TRIED)
def test_a_stranger_sees_and_changes_nothing(isolation: Isolation, field: str) -> None:
    stranger = Tenant(isolation.accounts)
    stranger.api.send_header("Use-Admin-Privileges", "true")
    stranger.api.send_header("X-WANDB-USERNAME", isolation.victim.owner)
    theirs = ROWS[field](isolation.victim)
    own = ROWS[field](stranger)
    check(isolation, stranger.api, field, theirs)
    for mixed in mixtures(own, theirs):
        check(isolation, stranger.api, field, mixed)


@pytest.mark.parametrize("field", [field for field in TRIED if field not in MANAGE_USERS | ADMINISTRATORS])
def test_an_administrator_sees_and_changes_nothing(isolation: Isolation, field: str) -> None:
    check(isolation, isolation.accounts.admin, field, ROWS[field](isolation.victim))


@pytest.mark.parametrize("field", [field for field in TRIED if field not in NEED_NO_ENTITY])
def test_a_member_who_may_only_look_changes_nothing(isolation: Isolation, field: str) -> None:
    check(isolation, isolation.looking, field, ROWS[field](isolation.victim), may_look=True)


@pytest.mark.parametrize("field", [field for field in TRIED if field not in LOOKS_AT_THE_SERVER])
def test_the_owner_sees_or_changes_it(isolation: Isolation, field: str) -> None:
    """Guards the tests above, whose arguments might otherwise reach nothing."""
    tenant = Tenant(isolation.accounts)
    arguments = ROWS[field](tenant)
    before = isolation.snapshot()
    answer = ask(tenant.admin if field in ADMINISTRATORS else tenant.api, field, arguments)
    if field.startswith("Query."):
        assert revealed_by(tenant, field, answer), f"{field} {arguments} shows nothing of its owner's: {answer}"
    elif field not in KEEP_NOTHING:
        assert isolation.snapshot().rows != before.rows, f"{field} {arguments} changes nothing of its owner's: {answer}"


@pytest.mark.parametrize("key", ["", "x" * 40, "api", "\u00fc" * 20])
def test_without_a_key_nothing_is_shown(isolation: Isolation, key: str) -> None:
    with Api(isolation.server.url, key) as api:
        for field in TRIED:
            kind, _, name = field.partition(".")
            response = api.post({"query": f"{kind.lower()} {{ {name} {{ __typename }} }}"})
            assert (response.status_code, "data" in response.json()) == (401, False)
