"""Access to a queue server: its address, the key, the default entity and project. Owns where these are found.

`launchd.Api` takes the place of `wandb.Api()` and `wandb.apis.internal.Api()` in W&B's documentation; W&B's two objects
are accepted too, through their `settings` and `api_key`. Queues are in `queues.py`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from launchd.api.errors import LaunchError, refuse_unknown_kwargs, suggestion, translate_errors
from launchd.api.sources import DEFAULT_PROJECT
from launchd.client.credentials import find_setting
from launchd.client.queue_server import QueueServer
from launchd.local.endpoint import resolve_endpoint
from launchd.local.instance import ENVIRONMENT_VARIABLE

DEFAULT_TIMEOUT_SECONDS = 20.0
OVERRIDES = ("base_url", "entity", "project")


class Access:
    """A queue server with a key, a default entity and a default project; the arguments are :class:`launchd.Api`'s."""

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
        self.base_url, self._api_key = _resolve(base_url or given.get("base_url"), api_key)
        self._entity = entity or given.get("entity") or find_setting("entity", os.environ)
        self._project = project or given.get("project") or find_setting("project", os.environ)
        self.queue_server = QueueServer(self.base_url, self._api_key, timeout=timeout or DEFAULT_TIMEOUT_SECONDS)

    @property
    def api_key(self) -> str:
        """The key in use."""
        return self._api_key

    @property
    def default_entity(self) -> str:
        """Owner of queues and runs where a call names none; raises :class:`LaunchError` if the key has no entity."""
        if self._entity is None:
            with translate_errors():
                self._entity = self.queue_server.viewer().entity
        if not self._entity:
            raise LaunchError("The API key belongs to no entity: name one with entity= or WANDB_ENTITY.")
        return self._entity

    @property
    def default_project(self) -> str:
        """The project of runs where neither the call nor the job names one."""
        return self._project or DEFAULT_PROJECT

    @property
    def settings(self) -> dict[str, str | None]:
        """`base_url`, and `entity` and `project` where they are set, under W&B's names."""
        return {"base_url": self.base_url, "entity": self._entity, "project": self._project}

    def close(self) -> None:
        """Close idle connections. The object can still be used."""
        self.queue_server.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"


class WandbApi(Protocol):
    """The common part of W&B's two `Api` classes: `settings` is a mapping, or a method that returns one."""

    @property
    def api_key(self) -> str | None:
        """The API key, `None` where there is none."""
        ...

    @property
    def settings(self) -> Any:
        """A mapping with `base_url`, `entity` and `project`, or a method that returns it."""
        ...


def as_access(api: WandbApi | None) -> Access:
    """Return ``api`` itself, or the access that one of W&B's two objects describes, or the default for ``None``.

    Raises:
        LaunchError: it is another object, or there is no key.
    """
    match api:
        case None:
            return Access()
        case Access():
            return api
        case _:
            return _from_wandb_api(api)


def _from_wandb_api(api: WandbApi) -> Access:
    try:
        settings = api.settings() if callable(api.settings) else api.settings
        values = {name: settings.get(name) or None for name in OVERRIDES}
        key = api.api_key
    except AttributeError as error:
        raise LaunchError(f"api is no Api object: {error}. Pass launchd.Api(), wandb.Api() or None.") from error
    return Access(api_key=key, base_url=values["base_url"], entity=values["entity"], project=values["project"])


def _resolve(base_url: str | None, api_key: str | None) -> tuple[str, str]:
    state_dir = os.environ.get(ENVIRONMENT_VARIABLE)
    address, key = resolve_endpoint(base_url, Path(state_dir) if state_dir else None, os.environ, api_key)
    return address.url, key.key
