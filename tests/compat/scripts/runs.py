"""Two runs as people write them: one that logs all kinds of things and is resumed, one that fails."""

import json
import sys
from pathlib import Path

import wandb

arguments = json.loads(sys.argv[1])
project = arguments["project"]

run = wandb.init(
    project=project,
    name="first try",
    group="group-a",
    job_type="train",
    tags=["one", "two"],
    notes="what I wanted to see",
    config={"lr": 0.1, "layers": [16, 32], "nested": {"deep": True}},
)
sys.stdout.write("hello from the console\n")
for step in range(5):
    run.log({"loss": 1.0 / (step + 1), "step_name": f"s{step}"})
run.config.update({"late": "yes"})
run.summary["best"] = 0.2
Path("notes.txt").write_text("kept beside the run\n")
run.save("notes.txt", policy="now")
first = run.id
run.finish()

resumed = wandb.init(project=project, id=first, resume="must")
resumed_at = resumed.starting_step
resumed.log({"loss": 0.125})
resumed.finish()

failed = wandb.init(project=project)
failed.finish(exit_code=3)

Path(sys.argv[2]).write_text(json.dumps({"first": first, "resumed_at": resumed_at, "failed": failed.id}))
