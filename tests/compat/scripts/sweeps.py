"""A grid whose first run is preempted once, and one run of which is deleted before the sweep is resumed."""

import json
import sys
from pathlib import Path
from typing import Any

import wandb
from wandb.cli.cli import cli

arguments = json.loads(sys.argv[1])
project = arguments["project"]
started: list[tuple[str, float]] = []


def train() -> None:
    run = wandb.init(project=project)
    started.append((run.id, run.config["lr"]))
    if len(started) == 1:
        run.mark_preempting()
        run.finish(exit_code=1)
        return
    run.log({"lr": run.config["lr"]})
    run.finish()


def state() -> dict[str, Any]:
    sweep = wandb.Api().sweep(f"me/{project}/{name}")
    return {"state": sweep.state, "rates": sorted(run.config["lr"] for run in sweep.runs), "started": list(started)}


config = {"method": "grid", "parameters": {"lr": {"values": ["1e-5", 0.5]}}}
name = wandb.sweep(config, project=project, entity="me")
wandb.agent(name, train, entity="me", project=project)
preempted = state()
wandb.Api().run(f"me/{project}/{started[0][0]}").delete()
cli(["sweep", "--resume", f"me/{project}/{name}"], standalone_mode=False)
wandb.agent(name, train, entity="me", project=project)

Path(sys.argv[2]).write_text(json.dumps({"preempted": preempted, "resumed": state()}))
