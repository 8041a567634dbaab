"""Sends alerts by ``run.alert()``; answers the run."""

import json
import sys
from pathlib import Path

import wandb

arguments = json.loads(sys.argv[1])
with wandb.init(project=arguments["project"]) as run:
    run.alert(title="Loss is NaN", text="at step 7", level=wandb.AlertLevel.ERROR, wait_duration=3600)
    run.alert(title="Loss is NaN", text="at step 8", level=wandb.AlertLevel.ERROR, wait_duration=3600)
Path(sys.argv[2]).write_text(json.dumps({"run": run.id}))
