"""Run in an environment with wandb: the objects that its runner for Kubernetes creates, for each run spec.

The cluster is a recorder. Reads run specs and an image as JSON, writes what was created, or the error.
"""

import asyncio
import json
import sys
import types
from typing import Any

from wandb.apis.internal import Api
from wandb.sdk.launch._project_spec import LaunchProject
from wandb.sdk.launch.agent import LaunchAgent
from wandb.sdk.launch.registry.local_registry import LocalRegistry
from wandb.sdk.launch.runner import kubernetes_runner as module

AGENT = "agent01"


class Recorder:
    """The cluster: it notes what is created."""

    def __init__(self) -> None:
        self.created: dict[str, Any] | None = None

    async def create_from_dict(self, _client: Any, body: dict[str, Any], namespace: str) -> list[Any]:
        """Note a Job."""
        self.created = {"namespace": namespace, "body": json.loads(json.dumps(body))}
        return [types.SimpleNamespace(metadata=types.SimpleNamespace(name="made"))]

    async def create_namespaced_custom_object(self, **given: Any) -> dict[str, Any]:
        """Note a custom resource."""
        self.created = {"namespace": given["namespace"], "body": json.loads(json.dumps(given["body"]))}
        return {"metadata": {"name": "made"}}


async def reached(_module: Any, _args: Any) -> tuple[dict[str, Any], None]:
    """Return the context of a kubeconfig."""
    return {"context": {"namespace": "default"}}, None


async def nothing(*_args: Any, **_given: Any) -> Any:
    """Do nothing."""
    return None


def prepare() -> None:
    """Put the recorder in the place of the cluster, and have an agent."""
    module.get_kube_context_and_api_client = reached
    module.ensure_api_key_secret = nothing
    module.LaunchKubernetesMonitor = types.SimpleNamespace(
        ensure_initialized=nothing, monitor_namespace=lambda *_args, **_given: None
    )
    LaunchAgent.initialized = classmethod(lambda _cls: True)
    LaunchAgent.name = classmethod(lambda _cls: AGENT)


async def create(api: Api, spec: dict[str, Any], image: str) -> dict[str, Any]:
    recorder = Recorder()
    module.kubernetes_asyncio.utils.create_from_dict = recorder.create_from_dict
    module.kubernetes_asyncio.client.BatchV1Api = module.kubernetes_asyncio.client.CoreV1Api = lambda _client: None
    module.client.CustomObjectsApi = lambda _client: recorder
    module.client.CoreV1Api = lambda _client: None
    project = LaunchProject.from_spec(spec, api)
    project.queue_name, project.queue_entity, project.run_queue_item_id = "queue", "entity", "item"
    await module.KubernetesRunner(api, {"SYNCHRONOUS": False}, None, LocalRegistry()).run(project, image)
    assert recorder.created is not None
    return recorder.created


def main() -> None:
    prepare()
    api = Api()
    given = json.load(sys.stdin)
    made: list[dict[str, Any]] = []
    for spec in given["specs"]:
        try:
            made.append(asyncio.run(create(api, spec, given["image"])))
        except Exception as error:  # noqa: BLE001 - whatever W&B's agent raises is told
            made.append({"error": f"{type(error).__name__}: {error}"})
    sys.stdout.write(json.dumps(made) + "\n")


main()
