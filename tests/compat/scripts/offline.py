"""A run far from any server, which is to be sent later."""

import json
import sys
from pathlib import Path

import wandb

with wandb.init(project=json.loads(sys.argv[1])["project"], mode="offline") as run:
    for step in range(3):
        run.log({"loss": step})

Path(sys.argv[2]).write_text(json.dumps({"run": run.id, "directory": str(Path(run.dir).parent)}))
