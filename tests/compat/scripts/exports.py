"""A run's history is exported, downloaded and scanned, before and after the run was resumed; answers files and rows."""

import json
import sys
from pathlib import Path
from typing import Any

import wandb

arguments = json.loads(sys.argv[1])
project = arguments["project"]


def log(first: int, **how: Any) -> str:
    with wandb.init(project=project, **how) as run:
        for step in range(first, first + 3):
            run.log({"x": step / 2, "name": f"s{step}", "deep": {"w": step}} if step else {"x": 0.0})
    return str(run.id)


def read() -> dict[str, Any]:
    run = wandb.Api().run(f"me/{project}/{name}")
    result = run.download_history_exports(f"exports-{run.lastHistoryStep}")
    paths = getattr(result, "paths", result)
    return {
        "files": [str(Path(path).resolve()) for path in sorted(paths)],
        "scanned": list(run.scan_history()),
        "x": [row["x"] for row in run.scan_history(keys=["x"])],
    }


name = log(0)
answer: dict[str, Any] = {}
if hasattr(wandb.Api().run(f"me/{project}/{name}"), "download_history_exports"):
    answer["first"] = read()
    log(3, id=name, resume="must")
    answer["second"] = read()
Path(sys.argv[2]).write_text(json.dumps(answer))
