"""Records: the store's rows as frozen values. JSON that is only passed on stays encoded."""

from launchd.server.models.accounts import ApiKey, EntityRecord, Member, ProjectRecord, Role, User, Viewer
from launchd.server.models.artifacts import (
    Artifact,
    ArtifactFile,
    ArtifactMembership,
    ArtifactTypeRecord,
    Collection,
    FilePart,
    FileSpec,
    ManifestEntry,
)
from launchd.server.models.base import Record
from launchd.server.models.launch import (
    Item,
    ItemReport,
    ItemWarning,
    LaunchAgent,
    LeasedItem,
    Queue,
    ResourceConfig,
    StopRequest,
)
from launchd.server.models.runs import CONSOLE, EVENTS, HISTORY, Line, Run, RunFile
from launchd.server.models.sweeps import Sweep, SweepAgent

__all__ = [
    "CONSOLE",
    "EVENTS",
    "HISTORY",
    "ApiKey",
    "Artifact",
    "ArtifactFile",
    "ArtifactMembership",
    "ArtifactTypeRecord",
    "Collection",
    "EntityRecord",
    "FilePart",
    "FileSpec",
    "Item",
    "ItemReport",
    "ItemWarning",
    "LaunchAgent",
    "LeasedItem",
    "Line",
    "ManifestEntry",
    "Member",
    "ProjectRecord",
    "Queue",
    "Record",
    "ResourceConfig",
    "Role",
    "Run",
    "RunFile",
    "StopRequest",
    "Sweep",
    "SweepAgent",
    "User",
    "Viewer",
]
