"""Artifacts that arrive in parts: a lone reference, one of two processes, and a table that grows."""

import json
import sys
from pathlib import Path
from typing import Any

import wandb

arguments = json.loads(sys.argv[1])
project = arguments["project"]


def names_of(name: str) -> dict[str, str]:
    """Download a version; returns what is in its files."""
    directory = Path(wandb.Api().artifact(f"me/{project}/{name}").download())
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def part(name: str, content: str) -> wandb.Artifact:
    made = wandb.Artifact("shared", "dataset")
    with made.new_file(name) as file:
        file.write(content)
    return made


def refer(to: str) -> str:
    """Log an artifact that has nothing but a reference; returns its address as it is read."""
    made = wandb.Artifact("far", "dataset")
    made.add_reference("https://example.com/data.csv", name="data.csv", checksum=False)
    with wandb.init(project=to) as run:
        run.log_artifact(made).wait()
    return str(wandb.Api().artifact(f"me/{to}/far:latest").get_entry("data.csv").ref)


def distribute(text: str) -> None:
    for rank in range(2):
        with wandb.init(project=project, group="ranks") as run:
            upsert_or_finish = run.upsert_artifact if rank == 0 else run.finish_artifact
            upsert_or_finish(part(f"{rank}.txt", f"{text}{rank}"), distributed_id="ranks")


def grow() -> dict[str, Any]:
    """Log a table twice, with a row more each time; returns the rows of all its parts."""
    try:
        table = wandb.Table(columns=["x"], log_mode="INCREMENTAL")
    except TypeError:
        return {"unknown": True}
    with wandb.init(project=project) as run:
        for x in range(3):
            table.add_data(x)
            run.log({"grown": table})
    (artifact,) = [
        made for made in wandb.Api().run(f"me/{project}/{run.id}").logged_artifacts() if "latest" in made.aliases
    ]
    directory = Path(artifact.download())
    rows = [json.loads(path.read_text())["data"] for path in sorted(directory.rglob("*.table.json"))]
    return {"rows": sorted(row for part in rows for row in part), "parts": len(rows)}


references = [refer(project), refer(f"{project}-two")]
distribute("first ")
distribute("second ")
answer = {
    "references": references,
    "first": names_of("shared:v0"),
    "second": names_of("shared:latest"),
    "table": grow(),
}
Path(sys.argv[2]).write_text(json.dumps(answer))
