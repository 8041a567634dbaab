"""What a queue server lets go of what it stores. Launchd protocol."""

from datetime import datetime

import msgspec


class RetainedNoLonger(msgspec.Struct, frozen=True, rename="camel"):
    """A run that a rule of the server lets go, or its files alone. Launchd protocol."""

    entity_project: str
    name: str
    ended_at: datetime
    bytes: int
    reason: str
    files_only: bool


class Retention(msgspec.Struct, frozen=True):
    """What the rules of the server let go: at most 1,000 runs, how many they are, and their bytes. Launchd protocol."""

    runs: tuple[RetainedNoLonger, ...]
    count: int
    bytes: int


class CollectedGarbage(msgspec.Struct, frozen=True, rename="camel"):
    """The result of a collection of garbage: what it removed, and the bytes that are left. Launchd protocol."""

    removed_files: int = 0
    removed_bytes: int = 0
    used_bytes: int = 0
