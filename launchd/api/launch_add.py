"""`launchd.launch_add`: puts a job into a queue. Owns the push and the checks before it; it does not wait."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ipc.run_spec import CODE_URI_PREFIX
from ipc.targets import DEFAULT_RESOURCE, LOCAL_PROCESS, RUNNABLE
from launchd.api.access import Access, WandbApi, as_access
from launchd.api.coerce import as_mapping
from launchd.api.errors import LaunchError, refuse_unknown_kwargs, suggestion, translate_errors
from launchd.api.image_jobs import image_job_spec, require_buildable
from launchd.api.item_status import Submission
from launchd.api.queued_run import QueuedRun
from launchd.api.rerun import resolve_rerun
from launchd.api.run_spec import LaunchArgs, SpecDraft, draft_spec
from launchd.api.sources import DEFAULT_QUEUE, PRIORITIES, artifact_name
from launchd.client.artifacts import upload_directory
from launchd.client.errors import ServerBusy, ServerUnreachable
from launchd.client.job_file import parse_job_name
from launchd.client.jobs import JOB_TYPE, require_version
from launchd.client.queue_server import QUEUE_PROJECT, QueueDetail, QueueServer
from launchd.client.upload_dir import CodeListing
from launchd.humanize import join_some

log = logging.getLogger(__name__)


@refuse_unknown_kwargs
@translate_errors()
def launch_add(
    uri: str | None = None,
    job: str | None = None,
    config: Mapping[str, Any] | None = None,
    template_variables: Mapping[str, float | int | str] | None = None,
    project: str | None = None,
    entity: str | None = None,
    queue_name: str | None = None,
    resource: str | None = None,
    entry_point: Sequence[str] | None = None,
    name: str | None = None,
    version: str | None = None,
    docker_image: str | None = None,
    project_queue: str | None = None,
    resource_args: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    build: bool | None = False,
    repository: str | None = None,
    sweep_id: str | None = None,
    author: str | None = None,
    priority: int | str | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    api: WandbApi | None = None,
) -> QueuedRun:
    """Put a job into a queue and return at once: one of `uri`, `job`, `docker_image`, or a command alone.

    Args:
        uri: URL of a git repository; a directory of this machine, whose files are uploaded, but for those that may
            hold secrets (`.env`, `.netrc`, `*.key` and the like), of which a warning tells; or the address of a run
            that ran in a git repository, which is repeated with its commit and command.
        job: a job artifact, `ENTITY/PROJECT/NAME:ALIAS`; entity, project and alias have defaults.
        config: keys of a run spec (`resource_args`, `overrides`, ...), and with `build` sections of an agent's
            configuration (`builder`, `registry`, `environment`, `launchd`); any other key is the run's configuration.
        template_variables: values of the queue's template variables; they win over `config["template_variables"]`.
        project: project of the run; by default that of `config`, of the job, of `api`, in this order.
        entity: owner of the run, and of the queue unless `config["queue_entity"]` names another; by default that of
            `config`, of `api`, in this order.
        queue_name: name of the queue; by default `default`, which is created where it is missing.
        resource: the resource that runs the job; by default the queue's.
        entry_point: the command as a list of words; by default the job's own, `python main.py` for `uri`.
        name: name of the run.
        version: branch, tag or commit of the repository.
        docker_image: the image to run.
        project_queue: project of the queue; by default `model-registry`.
        resource_args: arguments by resource; they win over the queue's.
        run_id: id of the run; by default the agent draws one.
        build: build an image of the `uri` or `job` before queueing, by an agent that this program has in a process of
            its own, push it, make a job of it, and queue that job; needs `queue_name`. Where the image goes to no
            registry, agents of this machine alone can run it. Without it, the agent builds what the job needs.
        repository: the repository that the image is pushed to, without a tag; with `build`, or for a `resource` that
            this version does not run.
        sweep_id: the sweep of the run; the run is not started once the sweep is over.
        author: user name of the submitter; by default the owner of the API key. At launchd's server only service
            accounts may name another, a member of their team.
        priority: 0 or `"critical"`, 1 or `"high"`, 2 or `"medium"`, 3 or `"low"`.
        parameters: the run's configuration; wins over `config`.
        api: the server: `launchd.Api()`, `wandb.Api()`, `wandb.apis.internal.Api()`; by default `launchd.Api()`.

    Returns:
        The queued item.

    Raises:
        LaunchError: nothing was queued, or the server did not answer the push and the item may be queued all the same;
            the message says which, why, and what to do.

    Source: `wandb.sdk.launch.launch_add`, which ignores `uri`, `version` and `repository`, and fails with `build`.
    """
    access = as_access(api)
    if build and queue_name is None:
        raise LaunchError("build=True needs the queue that the built image is for: name it as queue_name.")
    args = LaunchArgs(
        uri=uri,
        job=job,
        config=config,
        project=project,
        entity=entity,
        resource=resource,
        entry_point=entry_point,
        name=name,
        version=version,
        docker_image=docker_image,
        resource_args=resource_args,
        run_id=run_id,
        repository=repository,
        sweep_id=sweep_id,
        author=author,
        parameters=parameters,
    )
    variables = as_mapping(template_variables, "template_variables")
    draft = draft_spec(resolve_rerun(access, args), entity or access.default_entity, access.default_project)
    number = _priority_of(draft.spec, priority)
    queues_project = project_queue or QUEUE_PROJECT
    queue = _queue(access, _owner_of(draft.spec), queue_name or DEFAULT_QUEUE, queues_project)
    wanted = draft.spec.get("resource") or queue.resource_type or DEFAULT_RESOURCE
    if build:
        spec = _built_spec(access, draft, config, wanted)
    else:
        _refuse_repository(draft.spec, wanted)
        spec = _resolved_spec(access, draft, wanted)
    return _push(access, spec, queue, queues_project, variables, number)


def _built_spec(access: Access, draft: SpecDraft, config: Mapping[str, Any] | None, resource: str) -> dict[str, Any]:
    require_buildable(draft, resource)
    spec = _resolved_spec(access, draft, resource)
    return image_job_spec(access, draft, spec, as_mapping(config, "config"), resource)


def _resolved_spec(access: Access, draft: SpecDraft, resource: str) -> dict[str, Any]:
    return complete_spec(access, draft.spec, draft.directory) | {"resource": resource}


def _owner_of(spec: Mapping[str, Any]) -> str:
    """Return the entity whose queue is meant."""
    owner: str = spec.get("queue_entity") or spec["entity"]
    return owner


def _priority_of(spec: dict[str, Any], given: int | str | None) -> int | None:
    """Return the number of the priority that is given, else of the one in the run spec, which no push sends."""
    wanted = spec.pop("priority", None) if given is None else given
    return None if wanted is None else priority_number(wanted)


def complete_spec(access: Access, spec: dict[str, Any], directory: Path | None) -> dict[str, Any]:
    """Check that the job of ``spec`` exists, if it names one, and upload the files of ``directory``, if there is one.

    Returns:
        The complete run spec.
    """
    if spec.get("job"):
        require_version(access.queue_server, parse_job_name(spec["job"]), JOB_TYPE)
    if directory is None:
        return spec
    server = access.queue_server
    try:
        name = artifact_name(directory)
        artifact = upload_directory(
            server, spec["entity"], spec["project"], name, directory, on_listed=_warn_of_left_out
        )
    except OSError as error:
        raise LaunchError(f"The directory {directory} cannot be read: {error}.") from error
    return spec | {"uri": f"{CODE_URI_PREFIX}{artifact}"}


def _warn_of_left_out(listing: CodeListing) -> None:
    if listing.left_out:
        log.warning("Files that may hold secrets are not uploaded: %s.", join_some(listing.left_out))
    if listing.links:
        log.warning("Links that lead nowhere or out of the project are not uploaded: %s.", join_some(listing.links))


def priority_number(priority: int | str) -> int:
    """Return the number of a priority, given as a number or as W&B's word; raises :class:`LaunchError`."""
    number = PRIORITIES.get(priority) if isinstance(priority, str) else priority
    if number is None or number not in PRIORITIES.values():
        choices = ", ".join(f"{number} ({name})" for name, number in PRIORITIES.items())
        raise LaunchError(f"There is no priority {priority!r}. There are: {choices}.")
    return int(number)


def _push(
    access: Access,
    spec: dict[str, Any],
    queue: QueueDetail,
    project_queue: str,
    template_variables: dict[str, Any],
    priority: int | None,
) -> QueuedRun:
    server = access.queue_server
    owner = _owner_of(spec)
    variables = dict(spec.pop("template_variables", None) or {}) | template_variables
    if server.capabilities().launchd_protocol:
        spec["author"] = _author(server, spec.get("author"))
    else:
        _adapt_to_wandb(spec, variables)
    try:
        item_id = server.push(
            owner, queue.name, spec, project=project_queue, priority=priority, template_variables=variables
        )
    except (ServerUnreachable, ServerBusy) as error:
        unknown = f"It may be in queue {queue.name!r} all the same: look there before you launch it again."
        raise LaunchError(f"{error} {unknown}") from error
    submission = Submission(item_id, owner, queue.name, spec["project"], project_queue, spec["entity"])
    log.info("A job was queued.", extra={"item": item_id, "queue": queue.name, "entity": owner})
    return QueuedRun(access, submission, priority)


def _queue(access: Access, owner: str, name: str, project: str) -> QueueDetail:
    server = access.queue_server
    queue = server.queue(owner, name, project)
    if queue is None and name == DEFAULT_QUEUE:
        # As W&B's client does, for this name alone.
        server.create_queue(owner, name, resource=DEFAULT_RESOURCE, prioritization="DISABLED", project=project)
        queue = server.queue(owner, name, project)
    if queue is None:
        names = [queue.name for queue in server.queues(owner, project)]
        hint = suggestion(name, names) if names else "There is none at all: create it with Api().create_run_queue()."
        raise LaunchError(f"There is no queue {name!r} of {owner!r} at {server.base_url}. {hint}")
    return queue


def _refuse_repository(spec: Mapping[str, Any], resource: str) -> None:
    if resource not in RUNNABLE or not (spec.get("registry") or {}).get("url"):
        return
    if resource == LOCAL_PROCESS:
        raise LaunchError(f"repository is where a built image is pushed, and for {resource} none is built.")
    raise LaunchError(
        "repository is where this program pushes an image that it builds: give build=True with it."
        " Where an agent pushes, its administrator says."
    )


def _author(server: QueueServer, named: str | None) -> str | None:
    own = server.viewer().username
    if named not in (None, own) and not server.submits_for_others():
        raise LaunchError(f"The API key is that of {own}, who cannot submit as {named}: service accounts can.")
    return named or own


def _adapt_to_wandb(spec: dict[str, Any], variables: Mapping[str, Any]) -> None:
    # W&B's server takes either of them, and W&B's client drops resource_args too.
    if variables and spec.pop("resource_args", None):
        log.warning("The queue has template variables, so resource_args are left out (W&B's rule).")
