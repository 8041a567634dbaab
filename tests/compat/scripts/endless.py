"""A run that logs until somebody stops it."""

import itertools
import json
import signal
import sys
import time
from pathlib import Path

import wandb

arguments = json.loads(sys.argv[1])
# The client interrupts its run with SIGINT, which a shell makes its background processes ignore.
signal.signal(signal.SIGINT, signal.default_int_handler)

run = wandb.init(project=arguments["project"], id=arguments["run"])
Path(sys.argv[2]).write_text("{}")
for step in itertools.count():
    run.log({"step": step})
    time.sleep(0.5)
