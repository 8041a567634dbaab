"""Access to a queue server: whose, where, with which key. Owns the defaults, and the reading of other people's objects.

`Api` stands where W&B's documents have `wandb.Api()` or `wandb.apis.internal.Api()`; those two are taken as well,
by what they tell (`settings`, `api_key`). Queues are in `queues.py`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from launchd.api.errors import LaunchError, suggestion, translate_errors
from launchd.api.sources import DEFAULT_PROJECT
from launchd.api.unknown_kwargs import refuse_unknown_kwargs
from launchd.client.credentials import find_setting
from launchd.client.queue_server import QueueServer
from launchd.local.endpoint import resolve_endpoint
from launchd.local.instance import ENVIRONMENT_VARIABLE

DEFAULT_TIMEOUT_SECONDS = 20.0
OVERRIDES = ("base_url", "entity", "project")


class Access:
    """A queue server, as one caller uses it; :class:`launchd.Api` says what the arguments mean."""

    @refuse_unknown_kwargs
    @translate_errors()
    def __init__(
        self,
        overrides: Mapping[str, str] | None = None,
        timeout: float | None = None,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        entity: str | None = None,
        project: str | None = None,
    ) -> None:
        given = dict(overrides or {})
        for name in given.keys() - set(OVERRIDES):
            raise LaunchError(f"overrides has no key {name!r}. {suggestion(name, OVERRIDES)}")
        self.base_url, self._api_key = _find(base_url or given.get("base_url"), api_key)
        self._entity = entity or given.get("entity") or find_setting("entity", os.environ)
        self._project = project or given.get("project") or find_setting("project", os.environ)
        self.queue_server = QueueServer(self.base_url, self._api_key, timeout=timeout or DEFAULT_TIMEOUT_SECONDS)

    @property
    def api_key(self) -> str:
        """The key in use."""
        return self._api_key

    @property
    def default_entity(self) -> str:
        """Whose queues and runs are meant where a call does not say; raises :class:`LaunchError` if nobody's."""
        if self._entity is None:
            with translate_errors():
                self._entity = self.queue_server.viewer().entity
        if not self._entity:
            raise LaunchError("The API key belongs to no entity: name one with entity= or WANDB_ENTITY.")
        return self._entity

    @property
    def default_project(self) -> str:
        """Where runs go where neither the call nor the job says."""
        return self._project or DEFAULT_PROJECT

    @property
    def settings(self) -> dict[str, str | None]:
        """`base_url`, `entity` and `project` as they were given, under W&B's names."""
        return {"base_url": self.base_url, "entity": self._entity, "project": self._project}

    def close(self) -> None:
        """Drop idle connections. The object may be used again."""
        self.queue_server.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"


class WandbApi(Protocol):
    """What W&B's two `Api` objects have in common: `settings` is a mapping, or a method that returns one."""

    @property
    def api_key(self) -> str | None:
        """The key, where one was found."""
        ...

    @property
    def settings(self) -> Any:
        """Has `base_url`, `entity` and `project`."""
        ...


def as_access(api: WandbApi | None) -> Access:
    """Return ``api`` as ours: itself, what it tells if it is W&B's, the defaults where it is ``None``.

    Raises:
        LaunchError: it is none of these, or there is no key.
    """
    match api:
        case None:
            return Access()
        case Access():
            return api
        case _:
            return _of_foreign(api)


def _of_foreign(api: WandbApi) -> Access:
    try:
        settings = api.settings() if callable(api.settings) else api.settings
        values = {name: settings.get(name) or None for name in OVERRIDES}
        key = api.api_key
    except AttributeError as error:
        raise LaunchError(f"api is no Api object: {error}. Pass launchd.Api(), wandb.Api() or None.") from error
    return Access(api_key=key, base_url=values["base_url"], entity=values["entity"], project=values["project"])


def _find(base_url: str | None, api_key: str | None) -> tuple[str, str]:
    state_dir = os.environ.get(ENVIRONMENT_VARIABLE)
    address, key = resolve_endpoint(base_url, Path(state_dir) if state_dir else None, os.environ, api_key)
    return address.url, key.key
