"""Rows as the rest of the server sees them: frozen values. JSON that is only passed on stays encoded."""

from launchd.server.store.records.accounts import ApiKey, EntityRecord, Member, Person, ProjectRecord, Role, Viewer
from launchd.server.store.records.artifacts import (
    Artifact,
    ArtifactFile,
    ArtifactTypeRecord,
    Collection,
    FilePart,
    FileSpec,
    ManifestEntry,
)
from launchd.server.store.records.base import Record
from launchd.server.store.records.launch import (
    Item,
    ItemWarning,
    LaunchAgent,
    LeasedItem,
    Queue,
    Report,
    ResourceConfig,
    StopOrder,
)
from launchd.server.store.records.runs import Line, Run, RunFile
from launchd.server.store.records.sweeps import Sweep, SweepAgent

__all__ = [
    "ApiKey",
    "Artifact",
    "ArtifactFile",
    "ArtifactTypeRecord",
    "Collection",
    "EntityRecord",
    "FilePart",
    "FileSpec",
    "Item",
    "ItemWarning",
    "LaunchAgent",
    "LeasedItem",
    "Line",
    "ManifestEntry",
    "Member",
    "Person",
    "ProjectRecord",
    "Queue",
    "Record",
    "Report",
    "ResourceConfig",
    "Role",
    "Run",
    "RunFile",
    "StopOrder",
    "Sweep",
    "SweepAgent",
    "Viewer",
]
