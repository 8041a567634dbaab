"""Operations on queues: list, look up, create, change, delete; one part of `QueueServer`.

Owns which operation each method sends.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from launchd.client.base import QUEUE_PROJECT, ClientBase, as_json
from launchd.client.errors import Refused
from launchd.client.models.items import Item
from launchd.client.models.queues import Queue, QueueDetail, QueueSettings
from launchd.client.operations import launch, launchd_protocol
from launchd.client.responses import ResourceConfig


class QueueOperations(ClientBase):
    """Operations on queues. `project` is by default W&B's fixed project of queues."""

    def queues(self, entity: str, project: str = QUEUE_PROJECT) -> list[Queue]:
        """Return the entity's queues; none where the entity has no such project."""
        found = self._call(launch.QUEUES, entity=entity, project=project)
        return found.run_queues if found else []

    def queue_details(self, entity: str, project: str = QUEUE_PROJECT) -> list[QueueDetail]:
        """Return the entity's queues with their counts; a W&B server sends ids and names only."""
        if not self.capabilities().launchd_protocol:
            return [QueueDetail(queue.id, queue.name, queue.access) for queue in self.queues(entity, project)]
        pauses = self.capabilities().queue_control
        operation = launchd_protocol.QUEUES_WITH_PAUSES if pauses else launchd_protocol.QUEUES
        found = self._call(operation, entity=entity, project=project)
        return found.run_queues if found else []

    def queue(self, entity: str, name: str, project: str = QUEUE_PROJECT) -> QueueDetail | None:
        """Return a queue, or None where there is none of that name."""
        if not self.capabilities().launchd_protocol:
            return self._wandb_queue(entity, name, project)
        pauses = self.capabilities().queue_control
        operation = launchd_protocol.QUEUE_WITH_PAUSE if pauses else launchd_protocol.QUEUE
        found = self._call(operation, entity=entity, project=project, queue=name)
        return found.run_queue if found else None

    def _wandb_queue(self, entity: str, name: str, project: str) -> QueueDetail | None:
        found = self._call(launch.QUEUE, entity=entity, project=project, queue=name)
        if found is None or found.run_queue is None:
            return None
        queue = found.run_queue
        detail = QueueDetail(queue.id, name, queue.access, queue.prioritization_mode)
        config = self._resource_config(entity, queue.default_resource_config_id)
        return msgspec.structs.replace(detail, resource_type=config.resource, resource_config=config.config)

    def queue_settings(self, entity: str, name: str, project: str = QUEUE_PROJECT) -> QueueSettings | None:
        """Return the settings of a queue, or None where there is none of that name."""
        found = self._call(launch.QUEUE, entity=entity, project=project, queue=name)
        if found is None or found.run_queue is None:
            return None
        queue = found.run_queue
        config = self._resource_config(entity, queue.default_resource_config_id)
        schemas = {
            variable.name: msgspec.json.decode(variable.schema or "{}") for variable in config.template_variables or []
        }
        return QueueSettings(
            queue.id,
            queue.access,
            queue.prioritization_mode,
            queue.external_links,
            config.resource,
            config.config,
            schemas,
        )

    def _resource_config(self, entity: str, config_id: str | None) -> ResourceConfig:
        """Return the resource configuration of a queue; an empty one where it has none."""
        holder = None if config_id is None else self._call(launch.RESOURCE_CONFIG, entity=entity, id=config_id)
        return (holder and holder.default_resource_config) or ResourceConfig()

    def create_queue(
        self,
        entity: str,
        name: str,
        *,
        resource: str = "local-process",
        config: Mapping[str, Any] | None = None,
        prioritization: str = "V0",
        template_variables: Mapping[str, Any] | None = None,
        project: str = QUEUE_PROJECT,
    ) -> str:
        """Create a queue and return its id. `config`: the resource's arguments; `prioritization`: V0 or DISABLED."""
        if not self.capabilities().launchd_protocol:
            self._call(launch.CREATE_PROJECT, entity=entity, project=project)
        if not self.capabilities().queue_config:
            target = {"entity": entity, "project": project, "queue": name}
            return self._call(launch.CREATE_QUEUE_WITHOUT_CONFIG, **target, access="PROJECT").id
        stored = self._call(
            launch.CREATE_RESOURCE_CONFIG,
            entity=entity,
            resource=resource,
            config=as_json({"resource_args": {resource: config or {}}}),
            templateVariables=as_json(template_variables or {}),
        )
        created = self._call(
            launch.CREATE_QUEUE,
            entity=entity,
            project=project,
            queue=name,
            access="PROJECT",
            prioritizationMode=prioritization,
            configId=stored.id,
        )
        return created.id

    def set_jobs_may_push(self, entity: str, name: str, *, allowed: bool) -> None:
        """Set whether jobs may push to a queue with their own keys. `Refused` where there is no such queue."""
        self._call_launchd(
            launchd_protocol.SET_JOBS_MAY_PUSH,
            queueId=self._queue_id(entity, name, QUEUE_PROJECT),
            jobsMayPush=allowed,
        )

    def set_queue_paused(self, entity: str, name: str, *, paused: bool) -> None:
        """Have a queue give out nothing, or give out items again. Launchd protocol.

        Raises:
            Refused: there is no such queue, or the server cannot pause one: W&B's, or an older one.
        """
        self._require_control("does not pause queues")
        queue_id = self._queue_id(entity, name, QUEUE_PROJECT)
        self._call_launchd(launchd_protocol.SET_QUEUE_PAUSED, queueId=queue_id, paused=paused)

    def set_priority(self, item_id: str, priority: int) -> None:
        """Give an item that waits another priority: 0 (critical), 1, 2 or 3 (low). Launchd protocol.

        Raises:
            Refused: it does not wait, its queue has no priorities, or the server is W&B's or an older one.
        """
        self._require_control("changes no priorities")
        self._call_launchd(launchd_protocol.SET_PRIORITY, runQueueItemId=item_id, priority=priority)

    def move_item(self, item_id: str, entity: str, queue: str) -> None:
        """Put an item that waits into another queue of its entity, where it is as old as it is. Launchd protocol.

        Raises:
            Refused: it does not wait, there is no such queue, that is for another resource, or the server is W&B's or
                an older one.
        """
        self._require_control("moves no items")
        queue_id = self._queue_id(entity, queue, QUEUE_PROJECT)
        self._call_launchd(launchd_protocol.MOVE_ITEM, runQueueItemId=item_id, queueId=queue_id)

    def _require_control(self, lacking: str) -> None:
        if not self.capabilities().queue_control:
            raise Refused(f"The server at {self.base_url} {lacking}.")

    def upsert_queue(
        self,
        entity: str,
        name: str,
        *,
        resource: str,
        config: Mapping[str, Any],
        prioritization: str = "DISABLED",
        template_variables: Mapping[str, Any] | None = None,
        external_links: Mapping[str, Any] | None = None,
        project: str = QUEUE_PROJECT,
    ) -> list[str]:
        """Create a queue, or replace all settings of the one of that name; returns the server's warnings.

        `config`: the resource's arguments. `Refused` where the server does not save it.
        """
        if not self.capabilities().launchd_protocol:
            self._call(launch.CREATE_PROJECT, entity=entity, project=project)
        result = self._call(
            launch.UPSERT_QUEUE,
            entity=entity,
            project=project,
            queue=name,
            resource=resource,
            config=as_json({"resource_args": {resource: config}}),
            templateVariables=as_json(template_variables or {}),
            prioritizationMode=prioritization,
            externalLinks=None if external_links is None else as_json(external_links),
        )
        if not result.success:
            raise Refused(f"The server did not save queue {name!r} of {entity!r}.")
        return result.config_schema_validation_errors or []

    def delete_queue(self, entity: str, name: str, project: str = QUEUE_PROJECT) -> None:
        """Delete a queue with its items. `Refused` where there is none of that name."""
        if not self._call(launch.DELETE_QUEUE, id=self._queue_id(entity, name, project)).success:
            raise Refused(f"The server did not delete queue {name!r} of {entity!r}.")

    def _queue_id(self, entity: str, name: str, project: str) -> str:
        found = self._call(launch.QUEUE, entity=entity, project=project, queue=name)
        if found is None or found.run_queue is None:
            raise Refused(f"There is no queue {name!r} of {entity!r}.")
        return found.run_queue.id

    def queue_items(self, entity: str, name: str, limit: int = 100, project: str = QUEUE_PROJECT) -> list[Item]:
        """Return at most `limit` items of a queue, the newest first; none where there is no such queue."""
        operation = launchd_protocol.QUEUE_ITEMS if self.capabilities().launchd_protocol else launch.QUEUE_ITEMS
        if self.capabilities().gpu_claims:
            operation = launchd_protocol.QUEUE_ITEMS_WITH_GPUS
        found = self._call(operation, entity=entity, project=project, queue=name, limit=limit)
        if found is None or found.run_queue is None or found.run_queue.run_queue_items is None:
            return []
        return found.run_queue.run_queue_items.nodes
