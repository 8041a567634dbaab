"""Versions are linked to portfolios of this and of another project, used from there, changed and unlinked."""

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import wandb

arguments = json.loads(sys.argv[1])
project, other = arguments["project"], arguments["other"]
registry = "wandb-registry-model/rows"
api = wandb.Api()


def logged(run: "wandb.Run", content: str) -> "wandb.Artifact":
    Path("linked.txt").write_text(content)
    artifact = wandb.Artifact("source", type="dataset")
    artifact.add_file("linked.txt")
    return run.log_artifact(artifact).wait()


def told(artifact: "wandb.Artifact") -> list[Any]:
    return [artifact.qualified_name, artifact.version, sorted(artifact.aliases), artifact.is_link, artifact.source_name]


def refusal(run: "wandb.Run", artifact: "wandb.Artifact") -> str:
    """The newer client raises it, the older one writes it."""
    written = io.StringIO()
    with contextlib.redirect_stderr(written):
        try:
            run.link_artifact(artifact, registry)
        except wandb.errors.CommError as error:
            return str(error)
    return written.getvalue()


def link() -> dict[str, Any]:
    with wandb.init(project=project) as run:
        first, second = logged(run, "first"), logged(run, "second")
        linked = [
            run.link_artifact(second, "links", aliases=["prod"]),
            run.link_artifact(first, f"me/{other}/links", aliases=["elsewhere"]),
            run.link_artifact(first, "links"),
            run.link_model("linked.txt", "registered", "model", aliases=["best"]),
        ]
        used = run.use_artifact(f"me/{project}/links:prod")
        place = Path(used.download(root="from-link", skip_cache=True))
        return {
            "linked": [told(each) for each in linked],
            "used": told(used),
            "content": (place / "linked.txt").read_text(),
            "refused": refusal(run, first),
        }


def read() -> dict[str, Any]:
    source = api.artifact(f"me/{project}/source:v0")
    collection = api.artifact_collection("dataset", f"me/{project}/links")
    return {
        "links": sorted(each.qualified_name for each in source.linked_artifacts),
        "source": api.artifact(f"me/{other}/links:elsewhere").source_artifact.qualified_name,
        "is_sequence": collection.is_sequence(),
        "versions": [[each.name, sorted(each.aliases)] for each in collection.artifacts()],
        "collections": sorted(each.name for each in api.artifact_collections(f"me/{project}", "dataset")),
    }


def change() -> dict[str, Any]:
    member = api.artifact(f"me/{project}/links:v0")
    member.aliases.append("kept")
    member.save()
    kept = api.artifact(f"me/{project}/links:kept").version
    collection = api.artifact_collection("dataset", f"me/{project}/links")
    collection.description = "what is good"
    collection.save()
    described = api.artifact_collection("dataset", f"me/{project}/links").description
    member.unlink()
    left = [each.name for each in collection.artifacts()]
    collection.delete()
    gone = not api.artifact_collection_exists(f"me/{project}/links", "dataset")
    stays = api.artifact(f"me/{project}/source:v1").state
    return {"kept": kept, "description": described, "left": left, "gone": gone, "stays": stays}


answer = {**link(), **read(), **change()}
Path(sys.argv[2]).write_text(json.dumps(answer))
