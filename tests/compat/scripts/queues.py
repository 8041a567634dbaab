"""Queues and items through ``wandb.Api()`` and ``launch_add``: three queues, of which the last is deleted again."""

import json
import sys
from pathlib import Path
from typing import Any

import wandb
from wandb.sdk.launch import launch_add

arguments = json.loads(sys.argv[1])
created, changed, deleted = arguments["queues"]
api = wandb.Api()
variables = {"mem": {"schema": {"type": "string", "default": "1g"}}}


def described(name: str) -> dict[str, Any]:
    queue = api.run_queue("me", name)
    return {
        "id": queue.id,
        "access": queue.access,
        "mode": queue.prioritization_mode,
        "type": queue.type,
        "config": queue.default_resource_config,
        "variables": queue.template_variables,
        "links": queue.external_links,
    }


def push(**more: Any) -> Any:
    return launch_add(docker_image="alpine:3", project="queued", entity="me", queue_name=changed, **more)


for name in (created, deleted):
    api.create_run_queue(
        name=name,
        type="local-container",
        entity="me",
        prioritization_mode="V0",
        config={"memory": "{{mem}}"},
        template_variables=variables,
    )
for network in ("host", "none"):
    api.upsert_run_queue(
        name=changed,
        entity="me",
        resource_type="local-container",
        resource_config={"memory": "{{mem}}", "network": network},
        template_variables=variables,
        external_links={"Dashboard": "https://example.com/board"},
        prioritization_mode="V0",
    )

kept = push(name="third", priority=0, template_variables={"mem": "8g"}, config={"overrides": {"run_config": {"lr": 3}}})
unwanted = push()
listed = sorted(item.id for item in api.run_queue("me", changed).items)
unwanted.delete()
api.run_queue("me", deleted).delete()

answer = {
    "created": described(created),
    "changed": described(changed),
    "kept": {"id": kept.id, "state": kept.state},
    "unwanted": unwanted.id,
    "listed": listed,
    "left": [item.id for item in api.run_queue("me", changed).items],
}
Path(sys.argv[2]).write_text(json.dumps(answer, default=str))
