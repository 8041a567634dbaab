"""A run that logs until somebody stops it."""

import itertools
import json
import sys
import time
from pathlib import Path

import wandb

arguments = json.loads(sys.argv[1])

run = wandb.init(project=arguments["project"], id=arguments["run"])
Path(sys.argv[2]).write_text("{}")
for step in itertools.count():
    run.log({"step": step})
    time.sleep(0.5)
