"""Runs."""

from typing import Any

import msgspec


class RunDetail(msgspec.Struct, frozen=True):
    """A run. `name` is the run id; `config` and `summary` are its values, without the keys that W&B's client adds."""

    name: str
    display_name: str
    state: str
    stopped: bool = False
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """The run id, as `wandb.Api().run(...).id`."""
        return self.name


class RunSource(msgspec.Struct, frozen=True):
    """The source of a run: a repository, a commit, and the command there."""

    remote: str
    commit: str | None
    command: tuple[str, ...]
