"""The API keys of jobs: one for each lease of an item, handed out in the run spec as W&B's `_wandb_api_key`.

A key is computed, never stored: it names the item and the lease, under a code that only this server's secret makes. So
a claim that is repeated gets the same key, and a database that was restored knows the keys of what still runs. It works
until the item has ended, whichever lease it was made for: a host that is cut off works on.
"""

import hashlib
import hmac
import re
import string

import msgspec
from sqlalchemy import Connection

from launchd.server.models import SPEC_KEY, LeasedItem, Viewer
from launchd.server.store.accounts import job_keys
from launchd.server.store.accounts.job_keys import JobOwner

_DIGITS = string.digits + string.ascii_lowercase
_NUMBER, _LEASE, _CODE = 8, 8, 24
_FORM = re.compile(f"[0-9a-z]{{{_NUMBER + _LEASE + _CODE}}}", re.ASCII)


class JobKeys:
    """Makes and recognizes the keys of jobs."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hmac.new(secret, b"keys of jobs", hashlib.sha256).digest()

    def key_of(self, number: int, item_id: str, lease: int) -> str:
        """The key of the job of one lease: 40 characters of a-z and 0-9, the form W&B's clients accept."""
        code = hmac.new(self._secret, f"{number}/{item_id}/{lease}".encode(), hashlib.sha256).digest()
        return _in_digits(number, _NUMBER) + _in_digits(lease, _LEASE) + _in_digits(int.from_bytes(code), _CODE)

    def find_viewer(self, connection: Connection, key: str) -> Viewer | None:
        """The viewer of a job's key; None: it is none, or that of an item that has ended."""
        owner = self.find_owner(connection, key)
        return owner.viewer if owner is not None and owner.lives else None

    def find_owner(self, connection: Connection, key: str) -> JobOwner | None:
        """The owner of a job's key, also after the end of its item; None: it is no job's."""
        if not _FORM.fullmatch(key):
            return None
        number, lease = int(key[:_NUMBER], 36), int(key[_NUMBER : _NUMBER + _LEASE], 36)
        owner = job_keys.find_owner(connection, number)
        if owner is None or not hmac.compare_digest(key, self.key_of(number, owner.item_id, lease)):
            return None
        return owner

    def spec_of(self, leased: LeasedItem) -> msgspec.Raw:
        """The run spec as an agent gets it: with the key of the job, where it is known who pushed the item."""
        if not leased.has_submitter:
            return leased.run_spec
        spec = msgspec.json.decode(leased.run_spec)
        key = self.key_of(leased.number, leased.item_id, leased.lease)
        return msgspec.Raw(msgspec.json.encode(spec | {SPEC_KEY: key}))


def _in_digits(number: int, length: int) -> str:
    """The last `length` digits of a number to the base of 36."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
