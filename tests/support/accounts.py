"""Users, teams and service accounts of a running server, in one line each."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.support.server import Api, RunningServer, fresh_name

AUTHOR_HEADER = "X-WANDB-USERNAME"


class Accounts:
    """Makes accounts as the server's administrator and closes their connections."""

    def __init__(self, server: RunningServer, closing: ExitStack) -> None:
        self._url = server.url
        self._closing = closing
        self.admin = self.with_key(server.key)

    def with_key(self, key: str, *, author: str | None = None) -> Api:
        """A connection with this key; `author` goes into the header that service accounts may use."""
        api = self._closing.enter_context(Api(self._url, key))
        if author is not None:
            api.send_header(AUTHOR_HEADER, author)
        return api

    def user(self, *, email: str = "somebody@example.org", admin: bool = False) -> tuple[str, Api]:
        """A new user: the name, and a connection with their first key."""
        name = fresh_name("user")
        made = self.admin.mutate("createUser", "key", email=email, username=name, admin=admin)
        return name, self.with_key(made["key"])

    def team(self, admin: str) -> str:
        """A new team with one admin."""
        name = fresh_name("team")
        self.admin.mutate("createTeam", "entity { id }", teamName=name, teamAdminUserName=admin)
        return name

    def member(self, team: str, role: str) -> tuple[str, Api]:
        """A new user who is a member of the team."""
        name, api = self.user()
        self.admin.mutate("createInvite", "invite { id }", entityName=team, username=name, role=role)
        return name, api

    def service_account(self, team: str) -> tuple[str, str]:
        """Name and key (role member) of a new service account."""
        name = fresh_name("service")
        self.admin.mutate("createServiceAccount", "user { id }", entityName=team, description="robot", username=name)
        key: str = self.admin.mutate("generateApiKey", "key", username=name)["key"]
        return name, key


@contextmanager
def make_accounts(server: RunningServer) -> Iterator[Accounts]:
    """Accounts of this server, their connections closed at the end."""
    with ExitStack() as closing:
        yield Accounts(server, closing)
