"""A run is forked, the fork is resumed, and the first run is taken back to a step; each is read by ``wandb.Api()``."""

import json
import sys
from pathlib import Path
from typing import Any

import wandb

arguments = json.loads(sys.argv[1])
project = arguments["project"]


def read(name: str) -> dict[str, Any]:
    run = wandb.Api().run(f"me/{project}/{name}")
    rows = [(row["_step"], row["x"]) for row in run.scan_history(keys=["_step", "x"])]
    return {"rows": rows, "config": {key: run.config[key] for key in ("lr", "own") if key in run.config}}


with wandb.init(project=project, config={"lr": 1, "own": 1}) as first:
    for x in range(10):
        first.log({"x": x})

with wandb.init(project=project, fork_from=f"{first.id}?_step=5", config={"own": 2}) as fork:
    fork.log({"x": 100})
with wandb.init(project=project, id=fork.id, resume="must") as resumed:
    resumed.log({"x": 101})

with wandb.init(project=project, resume_from=f"{first.id}?_step=3") as rewound:
    rewound.log({"x": 200})

Path(sys.argv[2]).write_text(json.dumps({"fork": read(fork.id), "rewound": read(first.id)}))
