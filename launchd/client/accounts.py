"""Users, teams, service accounts and API keys; one part of `QueueServer`. Owns which operation each method sends."""

from launchd.client.base import ClientBase
from launchd.client.errors import Refused
from launchd.client.models.accounts import AccountEvent, DeletedAccount, KeyDetail, Member, ResetKeys, UserDetail
from launchd.client.operations import accounts


class AccountOperations(ClientBase):
    """Operations on accounts. They are of the launchd protocol, some under W&B's names; a W&B server refuses most."""

    def key_role(self) -> str | None:
        """Return what the key of this client is for: VIEWER, MEMBER, ADMIN or AGENT; None where the server hides it."""
        if not self.capabilities().launchd_protocol:
            return None
        try:
            found = self._call(accounts.ROLE)
        except Refused:
            # An older server of launchd's.
            return None
        return found.key_role if found else None

    def keys(self, username: str) -> list[KeyDetail]:
        """Return the API keys of a user, without their secrets; none where the caller may not see them."""
        found = self._call(accounts.KEYS, name=username)
        return [key for user in found.nodes if user.username == username for key in user.api_keys.nodes]

    def create_key(self, description: str, role: str, username: str | None = None) -> str:
        """Create a key for `username`, by default the caller, and return it. `role`: VIEWER, MEMBER, ADMIN or AGENT."""
        return self._call_launchd(accounts.CREATE_KEY, description=description, role=role, username=username).key

    def reset_keys(self, username: str) -> ResetKeys:
        """Revoke all keys of another user and make one. `Refused` where the caller is no administrator."""
        return self._call_launchd(accounts.RESET_KEYS, username=username)

    def account_events(self, username: str) -> list[AccountEvent]:
        """Return what others did to the keys of a user, newest first; nothing where the caller may not see it."""
        found = self._call(accounts.EVENTS, name=username)
        return [event for user in found.nodes if user.username == username for event in user.account_events]

    def revoke_key(self, key_id: str) -> None:
        """Revoke a key: it stops working. `Refused` where the caller may not revoke it, and for an unknown key."""
        self._call_launchd(accounts.REVOKE_KEY, id=key_id)

    def users(self) -> list[UserDetail]:
        """Return the users who share a team with the caller; all users for an administrator of the server."""
        return self._call(accounts.USERS).nodes

    def create_user(self, name: str, email: str, *, admin: bool = False) -> str:
        """Create a user and return their first key. `admin`: as an administrator of the server."""
        return self._call_launchd(accounts.CREATE_USER, username=name, email=email, admin=admin).key

    def members(self, entity: str) -> list[Member]:
        """Return the members of a team. `Refused` where there is no such team that the caller may see."""
        found = self._call(accounts.MEMBERS, entity=entity)
        if found is None:
            raise Refused(f"There is no team {entity!r} here that you belong to.")
        return found.members

    def create_team(self, name: str, admin: str | None = None) -> None:
        """Create a team whose administrator is the user `admin`, by default the caller."""
        self._call_launchd(accounts.CREATE_TEAM, teamName=name, teamAdminUserName=admin)

    def set_member(self, team: str, username: str, role: str) -> None:
        """Add a user to a team, or change their role: VIEWER, MEMBER or ADMIN."""
        self._call_launchd(accounts.ADD_MEMBER, entityName=team, username=username, role=role)

    def remove_member(self, team: str, username: str) -> None:
        """End the membership of a user. `Refused` where they are no member."""
        member = next((found for found in self.members(team) if found.username == username), None)
        if member is None:
            raise Refused(f"{username!r} is no member of team {team!r}.")
        self._call_launchd(accounts.REMOVE_MEMBER, entityName=team, id=member.id)

    def create_service_account(self, team: str, name: str) -> None:
        """Create a service account of a team; it has no key yet."""
        self._call_launchd(accounts.CREATE_SERVICE_ACCOUNT, entityName=team, description=name, username=name)

    def delete_user(self, username: str) -> DeletedAccount:
        """Delete a user. `Refused` where the caller is no administrator, and while something of the user lives."""
        return self._call_launchd(accounts.DELETE_USER, username=username)

    def delete_team(self, name: str) -> DeletedAccount:
        """Delete a team. `Refused` where the caller may not manage it, and while something of it lives."""
        return self._call_launchd(accounts.DELETE_TEAM, teamName=name)

    def delete_service_account(self, team: str, name: str) -> DeletedAccount:
        """Delete a service account of a team. `Refused` as for a team."""
        return self._call_launchd(accounts.DELETE_SERVICE_ACCOUNT, entityName=team, username=name)
