"""`launchd.launch`: runs a job now, on this machine, without a queue. Owns what is refused before, and the waiting."""

from collections.abc import Mapping, Sequence
from typing import Any

from ipc.run_spec import draw_run_id
from ipc.targets import DEFAULT_RESOURCE, LOCAL_CONTAINER, RUNNABLE
from launchd.api.access import WandbApi, as_access
from launchd.api.coerce import as_mapping
from launchd.api.embedded.launcher import INTERRUPTED, program_agent
from launchd.api.errors import LaunchError, translate_errors
from launchd.api.launch_add import complete_spec
from launchd.api.rerun import resolve_rerun
from launchd.api.run_spec import LaunchArgs, draft_spec, image_of
from launchd.api.submitted_run import SubmittedRun
from launchd.api.unknown_kwargs import refuse_unknown_kwargs


@refuse_unknown_kwargs
@translate_errors()
def launch(
    api: WandbApi | None = None,
    job: str | None = None,
    entry_point: Sequence[str] | None = None,
    version: str | None = None,
    name: str | None = None,
    resource: str | None = None,
    resource_args: Mapping[str, Any] | None = None,
    project: str | None = None,
    entity: str | None = None,
    docker_image: str | None = None,
    config: Mapping[str, Any] | None = None,
    synchronous: bool | None = True,
    run_id: str | None = None,
    repository: str | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
) -> SubmittedRun:
    """Run a job now, on this machine: one of `job`, `docker_image`, `config["uri"]`, or a command alone.

    The run is a job of an agent of this program's own, in a process of its own, and reports to the server as any
    other. A program that is interrupted (Ctrl-C, SIGTERM, its death) takes its runs with it; one that comes to its end
    waits for them.

    Args:
        api: the server that the run reports to: `launchd.Api()`, one of W&B's two, or `None` for the defaults.
        job: a job artifact, `ENTITY/PROJECT/NAME:ALIAS`; what is left out of it is filled in.
        entry_point: the command, word by word; by default the job's own, `python main.py` for `uri`.
        version: branch, tag or commit of the job's repository.
        name: name of the run.
        resource: what runs the job; `local-process` by default, the only one that there is yet.
        resource_args: arguments by resource. `local-process` takes none.
        project: where the run goes; by default that of `config`, of the job, of `api`.
        entity: whose run it is; by default that of `config`, of `api`.
        docker_image: the image to run. Not possible yet.
        config: keys of a run spec (`overrides`, `uri`, `git`, ...), blocks of an agent's configuration (`builder`,
            `registry`, `environment`, `launchd`); any other key is the run's configuration.
        synchronous: wait until the run is over.
        run_id: id of the run; drawn by default.
        repository: where a built image is pushed. Not possible yet.
        parameters: the run's configuration; wins over `config`.

    Raises:
        ExecutionError: `synchronous`, and the run did not finish well.
        LaunchError: nothing was run; the message says why and what to do.

    Source: `wandb.sdk.launch.launch`, which ignores `version` and `repository` and returns as if all were well when a
    synchronous run has failed.
    """
    access = as_access(api)
    asked = LaunchArgs(
        job=job,
        entry_point=entry_point,
        version=version,
        name=name,
        resource=resource,
        resource_args=resource_args,
        project=project,
        entity=entity,
        docker_image=docker_image,
        config=config,
        run_id=run_id,
        repository=repository,
        parameters=parameters,
    )
    drafted = draft_spec(resolve_rerun(access, asked), access.default_entity, access.default_project)
    _check_target(drafted.spec)
    spec = complete_spec(access, drafted.spec, drafted.directory)
    run = program_agent(access, as_mapping(config, "config")).run({"run_id": draw_run_id(), **spec})
    if synchronous:
        _wait(run)
    return run


def _check_target(spec: dict[str, Any]) -> None:
    """Settle the resource; raises :class:`LaunchError` for what cannot be run here yet, or would have no effect."""
    has_image = bool(image_of(spec))
    resource = spec.setdefault("resource", LOCAL_CONTAINER if has_image else DEFAULT_RESOURCE)
    there = " and ".join(RUNNABLE)
    if resource not in RUNNABLE:
        raise LaunchError(
            f"The resource {resource!r} cannot be launched on yet; there is: {there}, for jobs with source code,"
            " repositories, directories and commands. launch_add() queues it for an agent that can."
        )
    if has_image:
        raise LaunchError(f"docker_image names an image, and {resource} runs none.")
    if any((spec.get("resource_args") or {}).values()):
        raise LaunchError(f"resource_args has arguments, and {resource} takes none.")
    if (spec.get("registry") or {}).get("url"):
        raise LaunchError(f"repository is where a built image is pushed, and for {resource} none is built.")


def _wait(run: SubmittedRun) -> None:
    try:
        run.wait_well()
    except KeyboardInterrupt:
        run.cancel(INTERRUPTED)
        run.wait()
        raise
