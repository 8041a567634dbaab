"""Finding out who has an account: names that exist and names that do not are refused alike, after the same work."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from launchd.server.errors import NotAllowed
from launchd.server.models import Role, Viewer
from launchd.server.settings import ServerSettings
from launchd.server.store.accounts import accounts as store_accounts
from launchd.server.store.accounts import roles
from launchd.server.store.factory import migration_transaction
from launchd.server.store.migrate import migrate
from tests.support.accounts import Accounts
from tests.support.server import Api, RefusedByServer, fresh_name


def refusal(api: Api, name: str) -> tuple[int, str, tuple[str | None, ...]]:
    with pytest.raises(RefusedByServer) as refused:
        api.mutate("generateApiKey", "key", username=name)
    return refused.value.status, refused.value.messages[0].replace(name, "NAME"), tuple(refused.value.codes)


def test_a_refusal_does_not_tell_who_has_an_account(accounts: Accounts) -> None:
    name, _ = accounts.user()
    service, _ = accounts.service_account(accounts.team(name))
    _, stranger = accounts.user()
    answers = {refusal(stranger, asked) for asked in (name, service, "me", fresh_name("nobody"))}
    assert len(answers) == 1, answers
    assert next(iter(answers))[0] == 403


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are executed inside."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_name_that_exists_takes_the_same_work(tmp_path: Path) -> None:
    with migration_transaction(ServerSettings(data_dir=tmp_path)) as connection:
        migrate(connection, "the database")
        asking, other = (store_accounts.create_user(connection, name, "", admin=False) for name in ("asking", "other"))
        team = store_accounts.create_team(connection, "team", other)
        store_accounts.create_service_account(connection, team, "robot")
        viewer = Viewer(
            **{field: getattr(asking, field) for field in asking.__struct_fields__},
            key_role=Role.ADMIN,
            author_id=asking.user_id,
            author=asking.name,
        )
        work = {}
        for name in ("other", "robot", "nobody"):
            with counted() as statements, pytest.raises(NotAllowed):
                roles.require_owner(connection, viewer, name)
            work[name] = list(statements)
    assert work["other"] == work["robot"] == work["nobody"]
