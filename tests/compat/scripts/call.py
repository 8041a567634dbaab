"""A job is called through ``wandb.Api().job(...)`` and waited for."""

import json
import sys
from pathlib import Path

import wandb

arguments = json.loads(sys.argv[1])
api = wandb.Api()

job = api.job(arguments["job"])
# A configuration is refused here, by the client: a job that `wandb job create` made declares no inputs.
queued = job.call(config={}, project=arguments["project"], entity="me", queue="default", resource="local-process")
run = queued.wait_until_finished()
jobs = api.list_jobs("me", arguments["job"].split("/")[1])
answer = {
    "job": job.name,
    "item": queued.id,
    "item_state": queued.state,
    "run": run.id,
    "state": run.state,
    "lr": run.summary["lr"],
    "jobs": [artifacts["edges"][0]["node"]["aliases"] for artifacts in jobs],
}
Path(sys.argv[2]).write_text(json.dumps(answer))
