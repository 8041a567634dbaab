"""Users, teams, service accounts and keys of our own server.

Owns the mapping of these operations to documents; one part of `QueueServer`.
"""

from launchd.client.account_models import KeyDetail, Member, UserDetail
from launchd.client.base import ClientBase
from launchd.client.errors import Refused
from launchd.client.operations import accounts


class AccountOperations(ClientBase):
    """Operations on accounts. All are native but for their names; a W&B server refuses most of them."""

    def keys(self, username: str) -> list[KeyDetail]:
        """API keys of somebody, without their secrets; none where they are not ours to see."""
        found = self._call(accounts.KEYS, name=username)
        return [key for user in found.nodes if user.username == username for key in user.api_keys.nodes]

    def make_key(self, description: str, role: str, username: str | None = None) -> str:
        """Make a key, for `username` if it is not for us, and return it. `role`: VIEWER, MEMBER or ADMIN."""
        return self._send(accounts.MAKE_KEY, description=description, role=role, username=username).key

    def revoke_key(self, key_id: str) -> None:
        """Make a key stop working. `Refused` where it is not ours to revoke, or gone."""
        self._send(accounts.REVOKE_KEY, id=key_id)

    def users(self) -> list[UserDetail]:
        """People whom we share a team with; all of them for an administrator of the server."""
        return self._call(accounts.USERS).nodes

    def create_user(self, name: str, email: str, *, admin: bool = False) -> str:
        """Make a user; returns their first key. `admin`: as an administrator of the server."""
        return self._send(accounts.CREATE_USER, username=name, email=email, admin=admin).key

    def members(self, entity: str) -> list[Member]:
        """Members of a team. `Refused` where there is none that we may see."""
        found = self._call(accounts.MEMBERS, entity=entity)
        if found is None:
            raise Refused(f"There is no team {entity!r} here that you belong to.")
        return found.members

    def create_team(self, name: str, admin: str | None = None) -> None:
        """Make a team whose admin is `admin`, by default ourselves."""
        self._send(accounts.CREATE_TEAM, teamName=name, teamAdminUserName=admin)

    def set_member(self, team: str, username: str, role: str) -> None:
        """Take somebody into a team, or change their role: VIEWER, MEMBER or ADMIN."""
        self._send(accounts.ADD_MEMBER, entityName=team, username=username, role=role)

    def remove_member(self, team: str, username: str) -> None:
        """End somebody's membership. `Refused` where there is none."""
        member = next((found for found in self.members(team) if found.username == username), None)
        if member is None:
            raise Refused(f"{username!r} is no member of team {team!r}.")
        self._send(accounts.REMOVE_MEMBER, entityName=team, id=member.id)

    def create_service_account(self, team: str, name: str) -> None:
        """Make a service account of a team; it has no key yet."""
        self._send(accounts.CREATE_SERVICE_ACCOUNT, entityName=team, description=name, username=name)
