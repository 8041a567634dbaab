"""What people do seldom: read rare attributes, order and page, delete twice. Each answers a value or an error."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wandb

arguments = json.loads(sys.argv[1])
project = arguments["project"]
path = f"me/{project}"
api = wandb.Api()
answer: dict[str, Any] = {}


def ask(name: str, question: Callable[[], Any]) -> None:
    try:
        answer[name] = question()
    except Exception as error:  # noqa: BLE001 - the error is the answer
        answer[name] = f"{type(error).__name__}: {error}"


def log(name: str, kind: str, content: str, **more: Any) -> None:
    made = wandb.Artifact(name, kind, **more)
    with made.new_file("content.txt") as file:
        file.write(content)
    with wandb.init(project=project) as run:
        run.log_artifact(made).wait()


def delete_twice(what: Any) -> bool:
    what.delete()
    what.delete()
    return True


def versions(order: str) -> list[str]:
    collection = api.artifact_collection("dataset", f"{path}/odd")
    found = api.artifacts("dataset", f"{path}/odd", per_page=1) if not order else collection.artifacts()
    return [artifact.version for artifact in found]


for number in range(2):
    log("odd", "dataset", str(number))
log("even", "model", "x")
try:
    wandb.Artifact("regional", "dataset", storage_region="here")
    log("regional", "dataset", "r", storage_region="here")
    ask("region", lambda: Path(api.artifact(f"{path}/regional:v0").download()).joinpath("content.txt").read_text())
except TypeError:
    answer["region"] = "r"
ask("commit_hash", lambda: len(api.artifact(f"{path}/odd:v1").commit_hash))
ask("types", lambda: sorted(kind.name for kind in api.artifact_types(path)))
ask("paged", lambda: sorted(kind.name for kind in api.project(project, "me").artifacts_types(per_page=1)))
ask("versions", lambda: versions(""))
config = {"method": "grid", "parameters": {"lr": {"values": [1, 2, 3]}}}
with wandb.init(project=project, config={"lr": 1}) as prior:
    prior.log({"x": 1})
ask("sweep", lambda: wandb.sweep(config, project=project, entity="me", prior_runs=[prior.id]))
sweep = api.sweep(f"{path}/{answer['sweep']}")
ask("expected", lambda: sweep.expected_run_count)
ask("prior", lambda: [run.id for run in sweep.runs] == [prior.id])
ask("run", lambda: delete_twice(api.run(f"{path}/{prior.id}")))
ask("artifact", lambda: delete_twice(api.artifact(f"{path}/odd:v0")))
ask("collection", lambda: delete_twice(api.artifact_collection("model", f"{path}/even")))
ask("members", lambda: sorted({member.account_type for member in api.team(arguments["team"]).members}))
Path(sys.argv[2]).write_text(json.dumps(answer))
