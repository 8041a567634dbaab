"""Records of runs, their files and lines."""

import msgspec

from launchd.server.models.base import Record

HISTORY, EVENTS, CONSOLE = 1, 2, 3
"""Streams of lines: logged metrics, system metrics, console output."""


class Run(Record, frozen=True, kw_only=True):
    """A run. JSON stays encoded. The first `inherited_lines` of its history are those of the run it was forked from."""

    id: int
    project_id: int
    project_name: str
    entity_name: str
    name: str
    display_name: str | None
    author_id: int | None
    state: str
    stopped: bool
    created_at: float
    heartbeat_at: float | None
    exit_code: int | None
    group_name: str | None
    job_type: str | None
    sweep_id: int | None
    sweep_agent_id: str | None
    sweep_name: str | None
    host: str | None
    commit_hash: str | None
    tags: str | None
    history_lines: int
    inherited_lines: int
    event_lines: int
    console_lines: int
    description: str | None
    notes: str | None
    config: str | None
    summary: str | None
    history_keys: str | None

    @property
    def own_lines(self) -> int:
        """How many lines of the history its client has logged: where a client that resumes it continues."""
        return self.history_lines - self.inherited_lines

    @property
    def size(self) -> int:
        """Characters of the texts that may be long."""
        texts = (self.config, self.summary, self.history_keys, self.notes, self.description, self.tags)
        return sum(len(text) for text in texts if text)


class RunFile(Record, frozen=True, kw_only=True):
    """A file of a run, announced or arrived. `md5` is base64, `content` the SHA-256 in hex."""

    id: int
    run_id: int
    name: str
    content: str | None
    md5: str | None
    size: int | None
    updated_at: float | None


class RunAlert(msgspec.Struct, frozen=True):
    """A message that a run sent for people. `severity` is INFO, WARN or ERROR."""

    title: str
    text: str
    severity: str
    created_at: float


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of a stream. `step` is known for lines of the history."""

    number: int
    content: str
    step: int | None = None
