"""Generated ids and display names of runs."""

import secrets
import string

_FIRST = ("amber", "bold", "brisk", "calm", "clear", "crisp", "eager", "fresh", "gentle", "keen", "lively", "quiet")
_SECOND = (
    "aurora",
    "breeze",
    "brook",
    "canyon",
    "cedar",
    "comet",
    "delta",
    "ember",
    "forest",
    "lake",
    "reef",
    "summit",
)
_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH = 8


def new_run_id() -> str:
    """Eight letters and digits, as W&B's clients make them."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def display_name(number: int) -> str:
    """Display name of the run with this number: two words and the number."""
    return f"{secrets.choice(_FIRST)}-{secrets.choice(_SECOND)}-{number}"
