"""Queues for the tests of W&B's clients, and what the server knows of the items in them."""

import json
from dataclasses import dataclass
from typing import Any

from tests.support.server import Api, fresh_name

#: A queue whose configuration has one variable of each kind that a client converts.
VARIABLES = {
    "mem": {"schema": {"type": "string", "default": "1g"}},
    "n": {"schema": {"type": "integer", "default": 1, "minimum": 1, "maximum": 8}},
}
TEMPLATE = {"memory": "{{mem}}", "cpus": "{{n}}"}

_ITEMS = """query($q: String!) { project(name: "model-registry") { runQueue(name: $q) {
    runQueueItems(first: 10) { edges { node { id state priority runSpec associatedRunId } } } } } }"""


@dataclass(frozen=True)
class Queue:
    """A queue of launchd's server that no agent serves."""

    name: str
    api: Api

    @classmethod
    def create(cls, api: Api, resource: str = "local-container") -> "Queue":
        """Make a queue with priorities and template variables."""
        name = fresh_name("queue")
        made = api.mutate(
            "upsertRunQueue",
            "success configSchemaValidationErrors",
            entityName="me",
            projectName="model-registry",
            queueName=name,
            resourceType=resource,
            resourceConfig=json.dumps({"resource_args": {resource: TEMPLATE}}),
            templateVariables=json.dumps(VARIABLES),
            prioritizationMode="V0",
        )
        assert made["success"], made
        return cls(name, api)

    def only_item(self) -> dict[str, Any]:
        """Return the one item that was ever pushed; fails where there are more or fewer."""
        edges = self.api.run(_ITEMS, {"q": self.name})["project"]["runQueue"]["runQueueItems"]["edges"]
        (edge,) = edges
        item: dict[str, Any] = edge["node"]
        return item
