"""`launchd.Api`: a queue server as an object, with its queues. Owns what W&B's `wandb.Api` offers on queues."""

import logging
from collections.abc import Mapping
from typing import Any

from launchd.api.access import Access
from launchd.api.errors import translate_errors
from launchd.api.item_status import Submission
from launchd.api.queued_run import QueuedRun
from launchd.api.queues import (
    RunQueue,
    checked_mode,
    checked_name,
    links_document,
    variables_document,
)
from launchd.api.sources import checked_resource
from launchd.api.unknown_kwargs import refuse_unknown_kwargs
from launchd.client.queue_server import QUEUE_PROJECT

log = logging.getLogger(__name__)


class Api(Access):
    """A queue server, ours or W&B's, and its queues. All arguments are optional.

    Args:
        overrides: `base_url`, `entity` and `project` in one mapping, as for `wandb.Api`.
        timeout: seconds to wait for each answer of the server; 20 by default.
        api_key: the key; by default `WANDB_API_KEY`, netrc, W&B's settings file, in this order.
        base_url: address of the server; by default `WANDB_BASE_URL`, the `launchd up` of this machine, W&B's settings
            file, W&B's cloud.
        entity: whose queues and runs are meant where a call does not say; by default `WANDB_ENTITY`, the settings
            file, whoever the key belongs to.
        project: where runs go where a call does not say; by default `WANDB_PROJECT`, the settings file,
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
            entity: whose queue; by default `default_entity`.
            prioritization_mode: `"V0"` for priorities, `"DISABLED"` (the default) for none.
            config: arguments of the resource that lie under those of every job.
            template_variables: schemas of the `{{variables}}` in `config`.

        Raises:
            LaunchError: there is one of that name already, or the server refuses.

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
            resource_config: arguments of the resource that lie under those of every job.
            resource_type: the resource that runs its jobs.
            entity: whose queue; by default `default_entity`.
            template_variables: schemas of the `{{variables}}` in `resource_config`.
            external_links: links to show with the queue: label to URL.
            prioritization_mode: `"V0"` for priorities, `"DISABLED"` (the default) for none.

        Raises:
            LaunchError: the server refuses.

        Source: `wandb.Api.upsert_run_queue`. What the server finds odd in the configuration is logged.
        """
        owner = entity or self.default_entity
        warnings = self.queue_server.upsert_queue(
            owner,
            checked_name(name),
            resource=checked_resource(resource_type),
            config=resource_config,
            prioritization=checked_mode(prioritization_mode),
            template_variables=variables_document(template_variables),
            external_links=links_document(external_links),
        )
        for warning in warnings:
            log.warning("The server finds something odd in a queue.", extra={"queue": name, "what": warning})
        return RunQueue(self, name, owner)

    @refuse_unknown_kwargs
    def run_queue(self, entity: str, name: str | None = None) -> RunQueue:
        """Return the queue `name` of `entity`; `run_queue("ENTITY/NAME")` and `run_queue("NAME")` say the same.

        Source: `wandb.Api.run_queue`. Nothing is asked before the queue is used.
        """
        owner, _, rest = entity.rpartition("/")
        if name is not None:
            owner, rest = entity, name
        return RunQueue(self, checked_name(rest), owner or self.default_entity)

    @refuse_unknown_kwargs
    @translate_errors()
    def run_queues(self, entity: str | None = None) -> list[RunQueue]:
        """Return the queues of `entity`, by default of `default_entity`."""
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
        """Return an item that was queued before.

        Args:
            entity: who owns the queue and the run.
            project: where the run goes.
            queue_name: the queue it stands in.
            run_queue_item_id: the item's id.
            project_queue: the project of the queue; by default `model-registry`.
            priority: what its `priority` is to say.

        Source: `wandb.Api.queued_run`.
        """
        place = Submission(run_queue_item_id, entity, queue_name, project, project_queue or QUEUE_PROJECT)
        return QueuedRun(self, place, priority)
