"""Records of signed links."""

from launchd.server.models.accounts import Role
from launchd.server.models.base import Record


class LinkHolder(Record, frozen=True, kw_only=True):
    """To whom a signed link was given, and the role in the file's entity that the link's action takes.

    By the key with the number `key_id`, or by the key of the job of the item with the number `item`; the other is 0.
    """

    user_id: int
    key_id: int
    item: int
    role: Role
