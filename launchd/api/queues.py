"""Queues as objects: their settings, their items, their deletion. They keep no state but their names."""

from collections.abc import Mapping
from typing import Any

from launchd.api.access import Access, WandbApi, as_access
from launchd.api.errors import LaunchError, refuse_unknown_kwargs, translate_errors
from launchd.api.item_status import Submission
from launchd.api.queued_run import QueuedRun
from launchd.api.sources import checked_resource
from launchd.client.queue_server import QUEUE_PROJECT, Item, QueueSettings

#: W&B's prioritization modes: items have priorities, items have none.
BY_PRIORITY, IN_ORDER = "V0", "DISABLED"

MAX_NAME_LENGTH = 64


class RunQueue:
    """A queue, as :meth:`Api.run_queue` returns it (W&B: `wandb.apis.public.RunQueue`).

    `entity` and `name` identify it; `project` is `model-registry`, W&B's project of queues. Each property is read from
    the server, and raises :class:`LaunchError` where there is no such queue, or the server refuses or does not answer.
    """

    def __init__(self, access: Access, name: str, entity: str, project: str = QUEUE_PROJECT) -> None:
        self._access = access
        self._server = access.queue_server
        self.name = name
        self.entity = entity
        self.project = project

    @classmethod
    @refuse_unknown_kwargs
    @translate_errors()
    def create(
        cls,
        name: str,
        resource: str,
        entity: str | None = None,
        prioritization_mode: str | None = None,
        config: Mapping[str, Any] | None = None,
        template_variables: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        api: WandbApi | None = None,
    ) -> "RunQueue":
        """Create a queue at the server of `api`, by default `launchd.Api()`.

        The other arguments, and Raises, as for :meth:`Api.create_run_queue`.
        """
        access = as_access(api)
        owner, server = entity or access.default_entity, access.queue_server
        mode, resource = checked_mode(prioritization_mode), checked_resource(resource)
        if server.queue_settings(owner, checked_name(name)) is not None:
            raise LaunchError(f"There is a queue {name!r} of {owner!r} already. Change it with upsert_run_queue().")
        variables = template_variables_value(template_variables)
        server.create_queue(
            owner, name, resource=resource, config=config, prioritization=mode, template_variables=variables
        )
        return cls(access, name, owner)

    @property
    def id(self) -> str:
        """Id of the queue."""
        return self._settings().id

    @property
    def access(self) -> str | None:
        """Users who may use the queue: `PROJECT` (those of the entity) or `USER`."""
        return self._settings().access

    @property
    def type(self) -> str | None:
        """The resource that runs its jobs, such as `local-process`."""
        return self._settings().resource

    @property
    def prioritization_mode(self) -> str | None:
        """`V0`: items have priorities; `DISABLED` or `None`: first in, first out."""
        return self._settings().prioritization_mode

    @property
    def default_resource_config(self) -> dict[str, Any]:
        """Default arguments of its jobs: `{"resource_args": {TYPE: {...}}}`."""
        return self._settings().config or {}

    @property
    def template_variables(self) -> dict[str, dict[str, Any]]:
        """JSON schemas of the configuration's variables, by name (type, default, minimum, maximum, enum)."""
        return self._settings().template_variables

    @property
    def external_links(self) -> dict[str, str]:
        """Links that are shown with the queue: label to URL."""
        links = (self._settings().external_links or {}).get("links") or []
        return {link["label"]: link["url"] for link in links}

    @property
    def items(self) -> list[QueuedRun]:
        """The newest 100 items, the newest first."""
        return self.list_items()

    @translate_errors()
    def list_items(self, limit: int = 100) -> list[QueuedRun]:
        """Return the newest `limit` items (1 to 1000), the newest first; none where there is no such queue.

        Raises:
            LaunchError: the server refuses or does not answer.
        """
        items = self._server.queue_items(self.entity, self.name, limit, self.project)
        return [self._queued(item) for item in items]

    @translate_errors()
    def delete(self) -> None:
        """Delete the queue with all its items.

        Raises:
            LaunchError: there is no such queue, or the server refuses or does not answer.
        """
        self._server.delete_queue(self.entity, self.name, self.project)

    @translate_errors()
    def _settings(self) -> QueueSettings:
        found = self._server.queue_settings(self.entity, self.name, self.project)
        if found is None:
            raise LaunchError(f"There is no queue {self.name!r} of {self.entity!r} at {self._server.base_url}.")
        return found

    def _queued(self, item: Item) -> QueuedRun:
        spec = item.run_spec or {}
        project = str(spec.get("project") or self._access.default_project)
        run_entity = str(spec.get("entity") or self.entity)
        submission = Submission(item.id, self.entity, self.name, project, self.project, run_entity)
        return QueuedRun(self._access, submission, item.priority)

    def __repr__(self) -> str:
        return f"<RunQueue {self.entity}/{self.name}>"


def checked_name(name: str) -> str:
    """Return ``name`` if it is a valid name of a queue; raises :class:`LaunchError`."""
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise LaunchError(f"The name of a queue has 1 to {MAX_NAME_LENGTH} characters, not {len(name)}.")
    return name


def checked_mode(mode: str | None) -> str:
    """Return ``mode`` in capitals, by default the one without priorities; raises :class:`LaunchError`."""
    if mode is None:
        return IN_ORDER
    if mode.upper() not in (BY_PRIORITY, IN_ORDER):
        raise LaunchError(f"prioritization_mode is {BY_PRIORITY!r} (priorities) or {IN_ORDER!r}, not {mode!r}.")
    return mode.upper()


def links_value(links: Mapping[str, str] | None) -> dict[str, Any] | None:
    """Return ``links`` (label to URL) in the server's form."""
    if links is None:
        return None
    return {"links": [{"label": label, "url": url} for label, url in links.items()]}


def template_variables_value(variables: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return template variables in the server's form; each is given as its JSON schema or as `{"schema": ...}`."""
    return {name: value if "schema" in value else {"schema": value} for name, value in (variables or {}).items()}
