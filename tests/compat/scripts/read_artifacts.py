"""Artifacts read back and changed through ``wandb.Api()``."""

import json
import sys
from pathlib import Path
from typing import Any

import wandb

arguments = json.loads(sys.argv[1])
project, name = arguments["project"], arguments["artifact"]
api = wandb.Api()


def read_artifacts() -> dict[str, Any]:
    artifact = api.artifact(f"me/{project}/{name}:second")
    producer = artifact.logged_by()
    first = api.artifact(f"me/{project}/{name}:first")
    return {
        "version": artifact.version,
        "aliases": sorted(artifact.aliases),
        "type": artifact.type,
        "description": artifact.description,
        "metadata": artifact.metadata,
        "size": artifact.size,
        "state": artifact.state,
        "entries": sorted(artifact.manifest.entries),
        "logged_by": producer and producer.id,
        "used_by": [run.id for run in first.used_by()],
        "types": sorted(kind.name for kind in api.artifact_types(f"me/{project}")),
        "collections": sorted(found.name for found in api.artifact_collections(f"me/{project}", "dataset")),
        "versions": sorted(found.version for found in api.artifacts("dataset", f"me/{project}/{name}")),
        "exists": [api.artifact_exists(f"me/{project}/{name}:first"), api.artifact_exists(f"me/{project}/{name}:no")],
        "of_run": [found.name for found in api.run(f"me/{project}/{arguments['producer']}").logged_artifacts()],
        "used_of_run": [found.name for found in api.run(f"me/{project}/{arguments['consumer']}").used_artifacts()],
    }


def change_artifact() -> dict[str, Any]:
    artifact = api.artifact(f"me/{project}/{name}-changing:latest")
    artifact.aliases.append("kept")
    artifact.description = "changed"
    artifact.metadata["rows"] = 8
    artifact.save()
    again = api.artifact(f"me/{project}/{name}-changing:kept")
    return {"version": again.version, "description": again.description, "metadata": again.metadata}


answer = {"artifact": read_artifacts()}
if not arguments.get("read_only"):
    answer["changed"] = change_artifact()
Path(sys.argv[2]).write_text(json.dumps(answer))
