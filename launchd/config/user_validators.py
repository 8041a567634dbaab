"""Validators of users: names and numbers of users of this host, of builds, and of containers.

Conversions as in `validators.py`; these ask the host which users and groups it has.
"""

import grp
import pwd
import re
from typing import Any

from ipc.settings import NUMBERS_PER_BUILD, UserNumbers
from launchd.config.validators import takes, text

#: Numbers below are of the system's own users; the highest ones mean "no user" to the kernel and to older programs.
MIN_USER_NUMBER, MAX_USER_NUMBER = 1000, (1 << 31) - 1
MAX_USER_NUMBERS = 10_000
_RESERVED_NUMBERS = (65534, 65535)

_RANGE = re.compile(r"(\d{1,10})\s*-\s*(\d{1,10})")
_A_RANGE = r"^\s*\d{1,10}\s*-\s*\d{1,10}\s*$"
_CONTAINER_USER = re.compile(r"[\w][\w.-]*(:[\w][\w.-]*)?", re.ASCII)


@takes("string", pattern=r"\S")
def user(value: Any) -> str:
    """Return the name of a user of this host."""
    name = text(value)
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise ValueError("must be the name of a user of this host") from None
    return name


@takes(["string", "integer"], pattern=r"\S", minimum=MIN_USER_NUMBER, maximum=MAX_USER_NUMBER)
def user_or_number(value: Any) -> str:
    """Return the name of a user of this host, or the number of a user, which needs no entry."""
    number = str(value).strip()
    if not number.isascii() or not number.isdigit():
        return user(value)
    if len(number) > 10 or not MIN_USER_NUMBER <= int(number) <= MAX_USER_NUMBER:
        raise ValueError(
            f"must be the name of a user of this host, or a number between {MIN_USER_NUMBER} and {MAX_USER_NUMBER}"
        )
    return str(int(number))


@takes("string", pattern=_A_RANGE)
def user_numbers(value: Any) -> UserNumbers:
    """Return a range of numbers, given as "70000-70999", that belong to no user and no group of this host."""
    wanted = _numbers(value, "70000-70999")
    if len(wanted.numbers) > MAX_USER_NUMBERS:
        raise ValueError(f"must not have more than {MAX_USER_NUMBERS} numbers")
    owner = next((owner for number in wanted.numbers if (owner := _owner_of(number))), None)
    if owner is not None:
        raise ValueError(f"must be numbers that are free on this host: {owner}")
    return wanted


@takes("string", pattern=_A_RANGE)
def subordinate_numbers(value: Any) -> UserNumbers:
    """Return a range of numbers for the users of builds, given as "200000-265535": 65,536 or a multiple of that."""
    wanted = _numbers(value, "200000-265535")
    if len(wanted.numbers) % NUMBERS_PER_BUILD:
        raise ValueError(
            f"must have {NUMBERS_PER_BUILD} numbers for each build at a time, and has {len(wanted.numbers)}"
        )
    owner = next((user.pw_name for user in pwd.getpwall() if user.pw_uid in wanted.numbers), None)
    if owner is not None:
        raise ValueError(f"must be numbers that are free on this host: the user {owner} has one of them")
    return wanted


def _numbers(value: Any, example: str) -> UserNumbers:
    match = _RANGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"must be a range of numbers, such as {example}")
    wanted = UserNumbers(int(match[1]), int(match[2]))
    if not MIN_USER_NUMBER <= wanted.first <= wanted.last <= MAX_USER_NUMBER:
        raise ValueError(f"must be a range between {MIN_USER_NUMBER} and {MAX_USER_NUMBER}, the lower number first")
    return wanted


def _owner_of(number: int) -> str | None:
    """Return who has the number of a user or group already, as the end of a sentence."""
    if number in _RESERVED_NUMBERS:
        return f"{number} stands for no user"
    try:
        return f"{number} is the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        pass
    try:
        return f"{number} is the group {grp.getgrgid(number).gr_name}"
    except KeyError:
        return None


@takes(["string", "integer"], pattern=r"^\s*[\w][\w.-]*(:[\w][\w.-]*)?\s*$")
def container_user(value: Any) -> str:
    """Return the user of a container as `docker run` has it, by names or numbers of the image; a number may be bare."""
    given = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    name = text(given)
    if not _CONTAINER_USER.fullmatch(name):
        raise ValueError("must be USER or USER:GROUP, as names or numbers")
    return name
