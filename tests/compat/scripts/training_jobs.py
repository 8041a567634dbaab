"""Has W&B's runner create training jobs of the run specs on stdin, at the AWS of the variables; writes its errors."""

import asyncio
import functools
import json
import sys
from typing import Any

from wandb.apis.internal import Api
from wandb.sdk.launch._project_spec import LaunchProject
from wandb.sdk.launch.environment.aws_environment import AwsEnvironment
from wandb.sdk.launch.registry.local_registry import LocalRegistry
from wandb.sdk.launch.runner.sagemaker_runner import SageMakerRunner


class OneSession:
    """Makes each client of the SDK once: there is one for each job otherwise, and each takes a second."""

    def __init__(self, environment: AwsEnvironment) -> None:
        self._session = asyncio.run(environment.get_session())
        self._session.client = functools.cache(self._session.client)

    async def __call__(self) -> Any:
        return self._session


async def create(api: Api, environment: AwsEnvironment, spec: dict[str, Any], image: str) -> None:
    project = LaunchProject.from_spec(spec, api)
    project.queue_name, project.queue_entity, project.run_queue_item_id = "queue", "entity", "item"
    runner = SageMakerRunner(api, {"SYNCHRONOUS": False}, environment, LocalRegistry())
    await runner.run(project, image)


def main() -> None:
    api = Api()
    given = json.load(sys.stdin)
    environment = AwsEnvironment.from_config({"region": "us-east-1"})
    environment.get_session = OneSession(environment)
    errors = []
    for spec in given["specs"]:
        try:
            asyncio.run(create(api, environment, spec, given["image"]))
            errors.append(None)
        except Exception as error:  # noqa: BLE001 - whatever W&B's agent raises is told
            errors.append(f"{type(error).__name__}: {error}")
    sys.stdout.write(json.dumps({"errors": errors}) + "\n")


main()
