"""API keys: how they look, how they are kept. Owns generation and hashing; a key is shown once."""

import hashlib
import secrets
import string

from sqlalchemy import Connection

from launchd.server.store import identities

_ALPHABET = string.ascii_lowercase + string.digits
_LENGTH = 40


def new_key() -> str:
    """40 characters of a-z and 0-9, the form W&B's clients accept (206 bits)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def digest_of(key: str) -> str:
    """SHA-256 in hex. Enough without salt or stretching: keys are random, not chosen."""
    return hashlib.sha256(key.encode()).hexdigest()


def issue(connection: Connection, user_id: int, description: str) -> str:
    """Make a key for a user and keep its digest. Returns the key, for the only time."""
    key = new_key()
    identities.add_key(connection, user_id, digest_of(key), description)
    return key
