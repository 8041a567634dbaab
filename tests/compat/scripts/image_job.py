"""A run in a container, as the client sees it by ``WANDB_DOCKER``, of which it makes a job; answers where that is."""

import json
import os
import sys
import tempfile
from pathlib import Path

import wandb

arguments = json.loads(sys.argv[1])
os.environ["WANDB_DOCKER"] = arguments["image"]
# A directory without a repository, as in an image: from one, the job would be the repository's.
os.chdir(tempfile.mkdtemp())

# Off by default since 0.19.
run = wandb.init(project=arguments["project"], settings=wandb.Settings(disable_job_creation=False))
run.log({"loss": 1})
run.finish()

Path(sys.argv[2]).write_text(json.dumps({"entity": run.entity, "project": run.project}))
