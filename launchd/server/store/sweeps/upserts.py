"""Creating and changing sweeps as W&B's `upsertSweep` does, in one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from launchd.server.answer_budget import AnswerBudget
from launchd.server.errors import Refused
from launchd.server.models import SPEC_KEY, Run, Scope, Sweep, Viewer
from launchd.server.runs import filters, names
from launchd.server.store.accounts import principals
from launchd.server.store.runs import lists as run_lists
from launchd.server.store.runs.lists import RunQuery
from launchd.server.store.sweeps import progress as sweep_progress
from launchd.server.store.sweeps import runs as sweep_runs
from launchd.server.store.sweeps import sweeps
from launchd.server.store.sweeps.served import require_served
from launchd.server.store.sweeps.states import check_state
from launchd.server.sweeps import bayes
from launchd.server.sweeps.config import CUSTOM, METHODS, SweepConfig, read_config

_MOST_ADOPTED = 1000
_MOST_NAMED = 5


class Scheduler(msgspec.Struct, frozen=True):
    """Queue and run spec (JSON in a string) of the scheduler of a launched sweep."""

    queue: str
    run_spec: str
    run_queue_project: str | None = None
    run_queue_entity: str | None = None

    def to_json(self) -> str:
        """The JSON that the sweep shows to a client that resumes it: without an API key, which no reader is to have.

        Raises:
            Refused: the run spec is not a JSON object.
        """
        spec = _decode_spec(self.run_spec)
        shown = {name: value for name, value in spec.items() if name != SPEC_KEY}
        return msgspec.json.encode({"run_spec": msgspec.json.encode(shown).decode()}).decode()

    def is_job(self) -> bool:
        """Return whether the scheduler is a job, and not W&B's own."""
        return bool(_decode_spec(self.run_spec).get("job"))

    def spec_for(self, sweep: Sweep) -> dict[str, Any]:
        """The run spec, with the name of the sweep filled in.

        Raises:
            Refused: it is not a JSON object.
        """
        return _decode_spec(self.run_spec.replace(_PLACEHOLDER, sweep.name))


def _decode_spec(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Refused(f"run_spec of launchScheduler is no JSON object: {error}.") from error


_scheduler_decoder = msgspec.json.Decoder(Scheduler | None)


_PLACEHOLDER = "WANDB_SWEEP_ID"


def read_scheduler(text: str | None) -> Scheduler | None:
    """Raises:
    Refused: malformed.
    """
    try:
        return _scheduler_decoder.decode(text) if text else None
    except msgspec.DecodeError as error:
        raise Refused(f"launchScheduler is wrong: {error}.") from error


def prior_runs(connection: Connection, viewer: Viewer, given: Mapping[str, Any], answer: AnswerBudget) -> Sequence[Run]:
    """Existing runs that the sweep begins with, found before the transaction that changes it: it may take long.

    Raises:
        Refused: the filter is not valid, or took too long.
    """
    wanted = filters.read_filter(given.get("prior_runs_filters"))
    project_id = _project_id(connection, viewer, given) if wanted else None
    return (
        () if project_id is None else run_lists.page(connection, RunQuery(project_id, wanted), 0, _MOST_ADOPTED, answer)
    )


def _project_id(connection: Connection, viewer: Viewer, given: Mapping[str, Any]) -> int | None:
    if given.get("id"):
        return sweeps.require_by_storage_id(connection, viewer, given["id"]).project_id
    name = given.get("project_name") or principals.UNCATEGORIZED
    project = principals.project_of(connection, viewer, given.get("entity_name"), name)
    return project.id if project else None


def upsert(
    connection: Connection,
    viewer: Viewer,
    given: Mapping[str, Any],
    scheduler: Scheduler | None,
    prior: Sequence[Run],
) -> Sweep:
    """Create or change a sweep, with these existing runs.

    Raises:
        NotFound: entity or sweep do not exist for the viewer.
        Refused: a value in it is not valid.
    """
    config = read_config(given["config"]) if given.get("config") is not None else None
    if config is not None:
        _check(config, scheduler, resumed=bool(given.get("id")))
    values = _given(given, config, scheduler)
    if given.get("id"):
        found = _require(connection, viewer, given)
        if config is not None:
            values |= _reset(connection, found, config)
        sweeps.change(connection, found.id, values)
        sweep = sweeps.sweep_by_number(connection, found.id)
    else:
        sweep = _add(connection, viewer, given, config, values)
    if prior:
        sweep_runs.adopt(connection, sweep, prior)
    return sweep


def _require(connection: Connection, viewer: Viewer, given: Mapping[str, Any]) -> Sweep:
    if viewer.scope is Scope.AGENT:
        return require_served(connection, viewer, given)
    return sweeps.require_by_storage_id(connection, viewer, given["id"])


def _check(config: SweepConfig, scheduler: Scheduler | None, *, resumed: bool) -> None:
    bayes.check_available(config)
    if config.wrong_names:
        raise Refused(" ".join(config.wrong_names[:_MOST_NAMED]))
    has_job = config.scheduler_job is not None or (scheduler is not None and scheduler.is_job())
    if config.method == CUSTOM and not has_job and not resumed:
        raise Refused(
            "A sweep with the method 'custom' needs a job that chooses its values: scheduler.job in the file of"
            f" wandb launch-sweep. Without one, use {', '.join(method for method in METHODS if method != CUSTOM)}."
        )


def _reset(connection: Connection, found: Sweep, config: SweepConfig) -> dict[str, Any]:
    """Discard what the previous configuration implied. Returns the columns that change with it."""
    before = read_config(found.config)
    if config.early_terminate != before.early_terminate:
        sweep_progress.reset(connection, found)
    return {"grid_place": 0} if config.parameters != before.parameters else {}


def _add(
    connection: Connection,
    viewer: Viewer,
    given: Mapping[str, Any],
    config: SweepConfig | None,
    values: Mapping[str, Any],
) -> Sweep:
    if config is None:
        raise Refused("A new sweep needs a config.")
    project_name = given.get("project_name") or principals.UNCATEGORIZED
    entity = principals.require_entity(connection, viewer, given.get("entity_name"), project=project_name)
    project, _ = principals.ensure_project(connection, entity, project_name)
    return sweeps.insert_sweep(connection, project.id, names.new_run_id(), values)


def _given(given: Mapping[str, Any], config: SweepConfig | None, scheduler: Scheduler | None) -> dict[str, Any]:
    names_of = ("config", "description", "controller", "scheduler")
    values = {name: given[name] for name in names_of if given.get(name) is not None}
    if given.get("state") is not None:
        values["state"] = check_state(given["state"])
    if config is not None:
        values["method"] = config.method
    display_name = given.get("display_name") or (config.display_name if config else None)
    if display_name:
        values["display_name"] = display_name
    if scheduler is not None:
        values |= {"launched": True, "scheduler": scheduler.to_json()}
    return values
