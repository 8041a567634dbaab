"""Runs read back and changed through ``wandb.Api()``."""

import json
import sys
from pathlib import Path
from typing import Any

import wandb

arguments = json.loads(sys.argv[1])
project = arguments["project"]
api = wandb.Api()


def read_run() -> dict[str, Any]:
    run = api.run(f"me/{project}/{arguments['run']}")
    file = run.file("notes.txt").download(root="read", replace=True)
    return {
        "state": run.state,
        "name": run.name,
        "config": dict(run.config),
        "summary": {key: value for key, value in run.summary.items() if not key.startswith("_")},
        "tags": sorted(run.tags),
        "group": run.group,
        "job_type": run.job_type,
        "notes": run.notes,
        "history": [row["loss"] for row in run.history(pandas=False)],
        "scanned": [row["loss"] for row in run.scan_history(keys=["loss"])],
        "files": sorted(found.name for found in run.files()),
        "file": file.read(),
        "user": run.user.username,
    }


def read_runs() -> dict[str, Any]:
    runs = api.runs(f"me/{project}", order="+created_at")
    failed = api.runs(f"me/{project}", filters={"state": "failed"})
    by_config = api.runs(f"me/{project}", filters={"config.lr.value": 0.1})
    return {
        "all": [run.id for run in runs],
        "failed": [run.id for run in failed],
        "by_config": [run.id for run in by_config],
        "count": len(api.runs(f"me/{project}")),
    }


def change_run() -> dict[str, Any]:
    run = api.run(f"me/{project}/{arguments['failed']}")
    run.tags.append("seen")
    run.config["late"] = "no"
    run.update()
    run.summary["judged"] = "good"
    run.summary.update()
    again = wandb.Api().run(f"me/{project}/{arguments['failed']}")
    return {"tags": again.tags, "late": again.config["late"], "judged": again.summary["judged"]}


answer = {"run": read_run(), "runs": read_runs()}
if not arguments.get("read_only"):
    answer["changed"] = change_run()
Path(sys.argv[2]).write_text(json.dumps(answer))
