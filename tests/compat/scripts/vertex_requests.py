"""Run in an environment with wandb: what its runner for Vertex AI hands to Google's SDK, for each run spec.

The SDK is a recorder. Reads a JSON list of run specs, prints a JSON list of what was handed over, or of errors.
"""

import asyncio
import json
import sys
import types
from typing import Any

from wandb.sdk.launch._project_spec import LaunchProject
from wandb.sdk.launch.errors import LaunchError
from wandb.sdk.launch.runner.vertex_runner import VertexRunner

PROJECT, REGION = "team-project", "us-central1"


class Api:
    """W&B's settings, as far as a job's variables are made of them."""

    api_key = "key1"

    def settings(self, name: str | None = None) -> Any:
        """Return a setting."""
        return {"base_url": "http://localhost:1"}.get(name)


class Environment:
    """Google Cloud, as W&B's runner sees it."""

    project, region = PROJECT, REGION

    async def verify(self) -> None:
        """Find nothing wrong."""

    async def get_credentials(self) -> None:
        """Have none."""


def recorder(record: dict[str, Any]) -> types.ModuleType:
    """Return a module that notes what it is given."""

    class CustomJob:
        def __init__(self, **given: Any) -> None:
            record["job"] = given
            self._gca_resource = types.SimpleNamespace(name="x")

        def submit(self, **given: Any) -> None:
            record["submit"] = given

    module = types.ModuleType("google.cloud.aiplatform")
    module.init = lambda **given: record.update(staging_bucket=given.get("staging_bucket"))
    module.CustomJob = CustomJob
    return module


async def requested(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what is handed over for one run spec."""
    record: dict[str, Any] = {}
    module = recorder(record)
    google, cloud = types.ModuleType("google"), types.ModuleType("google.cloud")
    google.cloud, cloud.aiplatform = cloud, module
    sys.modules.update({"google": google, "google.cloud": cloud, "google.cloud.aiplatform": module})
    project = LaunchProject.from_spec(spec, Api())
    project.queue_name, project.queue_entity, project.run_queue_item_id = "gpus", "team", "item1"
    try:
        await VertexRunner(Api(), {"SYNCHRONOUS": False}, Environment(), None).run(
            project, spec["docker"]["docker_image"]
        )
    except LaunchError as error:
        return {"error": str(error)}
    return record


if __name__ == "__main__":
    json.dump([asyncio.run(requested(spec)) for spec in json.load(sys.stdin)], sys.stdout)
