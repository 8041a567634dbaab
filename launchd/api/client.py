"""`launchd.Api`: access to a queue server with the methods of W&B's `wandb.Api` for queues."""

import logging
from collections.abc import Mapping
from typing import Any

from launchd.api.access import Access
from launchd.api.errors import refuse_unknown_kwargs, translate_errors
from launchd.api.item_status import Submission
from launchd.api.queued_run import QueuedRun
from launchd.api.queues import (
    RunQueue,
    checked_mode,
    checked_name,
    links_value,
    template_variables_value,
)
from launchd.api.sources import checked_resource
from launchd.client.queue_server import QUEUE_PROJECT

log = logging.getLogger(__name__)


class Api(Access):
    """Access to a queue server, launchd's or W&B's, and to its queues. All arguments are optional.

    Args:
        overrides: `base_url`, `entity` and `project` in one mapping, as for `wandb.Api`.
        timeout: seconds to wait for each response of the server; 20 by default.
        api_key: the API key; by default from `WANDB_API_KEY`, netrc, W&B's settings file, in this order.
        base_url: address of the server; by default `WANDB_BASE_URL`, the `launchd up` of this machine, W&B's settings
            file, W&B's cloud, in this order.
        entity: owner of queues and runs where a call names none; by default `WANDB_ENTITY`, the settings file, the
            entity of the key.
        project: project of runs where a call names none; by default `WANDB_PROJECT`, the settings file,
            `uncategorized`.

    Raises:
        LaunchError: there is no key for the server.

    Source: `wandb.apis.public.Api` and `wandb.apis.internal.Api`.
    """

    @refuse_unknown_kwargs
    def create_run_queue(
        self,
        name: str,
        type: str,  # noqa: A002 - W&B's name of the argument
        entity: str | None = None,
        prioritization_mode: str | None = None,
        config: Mapping[str, Any] | None = None,
        template_variables: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> RunQueue:
        """Create a queue.

        Args:
            name: 1 to 64 characters.
            type: the resource that runs its jobs: local-process, local-container, kubernetes, sagemaker, gcp-vertex.
            entity: owner of the queue; by default `default_entity`.
            prioritization_mode: `"V0"` for priorities, `"DISABLED"` (the default) for none.
            config: arguments of the resource; a job's own arguments win over them.
            template_variables: JSON schemas of the `{{variables}}` in `config`, by name.

        Raises:
            LaunchError: there is a queue of that name already, or the server refuses or does not answer.

        Source: `wandb.Api.create_run_queue`.
        """
        return RunQueue.create(name, type, entity, prioritization_mode, config, template_variables, api=self)

    @refuse_unknown_kwargs
    @translate_errors()
    def upsert_run_queue(
        self,
        name: str,
        resource_config: Mapping[str, Any],
        resource_type: str,
        entity: str | None = None,
        template_variables: Mapping[str, Mapping[str, Any]] | None = None,
        external_links: Mapping[str, str] | None = None,
        prioritization_mode: str | None = None,
    ) -> RunQueue:
        """Create a queue, or replace all settings of the one of that name.

        Args:
            name: 1 to 64 characters.
            resource_config: arguments of the resource; a job's own arguments win over them.
            resource_type: the resource that runs its jobs: local-process, local-container, kubernetes, sagemaker,
                gcp-vertex.
            entity: owner of the queue; by default `default_entity`.
            template_variables: JSON schemas of the `{{variables}}` in `resource_config`, by name.
            external_links: links that are shown with the queue: label to URL.
            prioritization_mode: `"V0"` for priorities, `"DISABLED"` (the default) for none.

        Raises:
            LaunchError: the server refuses or does not answer.

        Source: `wandb.Api.upsert_run_queue`. The server's warnings about the configuration are logged.
        """
        owner = entity or self.default_entity
        warnings = self.queue_server.upsert_queue(
            owner,
            checked_name(name),
            resource=checked_resource(resource_type),
            config=resource_config,
            prioritization=checked_mode(prioritization_mode),
            template_variables=template_variables_value(template_variables),
            external_links=links_value(external_links),
        )
        for warning in warnings:
            log.warning("The server has a warning about a queue.", extra={"queue": name, "warning": warning})
        return RunQueue(self, name, owner)

    @refuse_unknown_kwargs
    def run_queue(self, entity: str, name: str | None = None) -> RunQueue:
        """Return the queue `name` of `entity`; `run_queue("ENTITY/NAME")` and `run_queue("NAME")` work too.

        No request is made before the queue is used.

        Source: `wandb.Api.run_queue`.
        """
        owner, _, rest = entity.rpartition("/")
        if name is not None:
            owner, rest = entity, name
        return RunQueue(self, checked_name(rest), owner or self.default_entity)

    @refuse_unknown_kwargs
    @translate_errors()
    def run_queues(self, entity: str | None = None) -> list[RunQueue]:
        """Return the queues of `entity`, by default of `default_entity`.

        Raises:
            LaunchError: the server refuses or does not answer.
        """
        owner = entity or self.default_entity
        return [RunQueue(self, queue.name, owner) for queue in self.queue_server.queues(owner)]

    @refuse_unknown_kwargs
    def queued_run(
        self,
        entity: str,
        project: str,
        queue_name: str,
        run_queue_item_id: str,
        project_queue: str | None = None,
        priority: int | None = None,
    ) -> QueuedRun:
        """Return an item that was queued before. No request is made before it is used.

        Args:
            entity: owner of the queue and of the run.
            project: project of the run.
            queue_name: name of the queue.
            run_queue_item_id: id of the item.
            project_queue: project of the queue; by default `model-registry`.
            priority: value of the result's `priority`, 0 (critical) to 3 (low).

        Source: `wandb.Api.queued_run`.
        """
        submission = Submission(run_queue_item_id, entity, queue_name, project, project_queue or QUEUE_PROJECT)
        return QueuedRun(self, submission, priority)
