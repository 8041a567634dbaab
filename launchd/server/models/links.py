"""Records of signed links."""

from launchd.server.models.accounts import Role
from launchd.server.models.base import Record


class LinkHolder(Record, frozen=True, kw_only=True):
    """The user to whom a signed link was given, and the role in the file's entity that the link's action takes."""

    user_id: int
    role: Role
