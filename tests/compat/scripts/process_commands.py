"""Has W&B's runner launch the run specs on stdin as plain processes; writes the command lines that it would run."""

import asyncio
import json
import sys
from typing import Any

from wandb.apis.internal import Api
from wandb.sdk.launch._project_spec import LaunchProject
from wandb.sdk.launch.runner import local_process

COMMANDS: list[str] = []


def note(command: str, _directory: str | None) -> None:
    COMMANDS.append(command)


async def launch(api: Api, spec: dict[str, Any]) -> None:
    project = LaunchProject.from_spec(spec, api)
    project.queue_name, project.queue_entity, project.run_queue_item_id = "queue", "entity", "item"
    project.project_dir = "."
    # What it installed of a job's requirements is no matter here, and comes from the artifact of the job.
    project.job, job = None, project.job
    environment = project.get_env_vars_dict
    project.get_env_vars_dict = lambda *given: with_job(project, job, environment, given)
    await local_process.LocalProcessRunner(api, {"SYNCHRONOUS": False}).run(project)


def with_job(project: LaunchProject, job: str | None, environment: Any, given: tuple[Any, ...]) -> dict[str, str]:
    project.job = job
    found: dict[str, str] = environment(*given)
    return found


def main() -> None:
    local_process._run_entry_point = note
    api = Api()
    for spec in json.load(sys.stdin)["specs"]:
        asyncio.run(launch(api, spec))
    sys.stdout.write("\n" + json.dumps({"commands": COMMANDS}) + "\n")


main()
