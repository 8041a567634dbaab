"""API keys: how they look, how they are kept. Owns generation and hashing; a key is shown once."""

import hashlib
import secrets
import string

from sqlalchemy import Connection

from launchd.server.models import ApiKey, Person, Role
from launchd.server.store.accounts import api_keys

_ALPHABET = string.ascii_lowercase + string.digits
_LENGTH = 40


def new_key() -> str:
    """40 characters of a-z and 0-9, the form W&B's clients accept (206 bits)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def digest_of(key: str) -> str:
    """SHA-256 in hex. Enough without salt or stretching: keys are random, not chosen."""
    return hashlib.sha256(key.encode()).hexdigest()


def issue(connection: Connection, owner: Person, description: str, role: Role) -> tuple[ApiKey, str]:
    """Make a key for somebody and keep its digest. Returns the key itself, for the only time, beside what is kept."""
    key = new_key()
    return api_keys.add(connection, owner, digest_of(key), description, role), key
