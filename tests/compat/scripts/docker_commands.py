"""Has W&B's runner launch the run specs on stdin as containers; writes the command lines that it would run."""

import asyncio
import json
import sys
from typing import Any

from wandb.apis.internal import Api
from wandb.sdk.launch._project_spec import LaunchProject
from wandb.sdk.launch.environment.local_environment import LocalEnvironment
from wandb.sdk.launch.registry.local_registry import LocalRegistry
from wandb.sdk.launch.runner import local_container

COMMANDS: list[str] = []


def note(command: str, _directory: str | None) -> None:
    COMMANDS.append(command)


async def launch(api: Api, spec: dict[str, Any], image: str) -> None:
    project = LaunchProject.from_spec(spec, api)
    project.queue_name, project.queue_entity, project.run_queue_item_id = "queue", "entity", "item"
    runner = local_container.LocalContainerRunner(api, {"SYNCHRONOUS": False}, LocalEnvironment(), LocalRegistry())
    await runner.run(project, image)


def main() -> None:
    local_container._run_entry_point = note
    local_container.pull_docker_image = lambda _image: None
    api = Api()
    given = json.load(sys.stdin)
    for spec in given["specs"]:
        asyncio.run(launch(api, spec, given["image"]))
    sys.stdout.write("\n" + json.dumps({"commands": COMMANDS}) + "\n")


main()
