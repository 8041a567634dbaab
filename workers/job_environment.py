"""The variables that are a job's own, the same on any target; what else its process needs is the target's to add.

The ``WANDB_*`` variables are those of W&B's agent (0.20.1 to 0.28.2), in its order
and with its values; the SDK in the job reads them.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ipc.run_spec import RunSpec
from ipc.work_order import WorkOrder

#: By this variable every process of a job can be told from all others on the host.
JOB_NAME_VARIABLE = "LAUNCHD_JOB_NAME"

#: W&B's limit for one variable, in characters of JSON.
CHUNK_CHARACTERS = 32670


def job_environment(
    order: WorkOrder, api_key: str, image: str | None = None, most: int = CHUNK_CHARACTERS
) -> dict[str, str]:
    """Return W&B's variables for the job of ``order``, and the one that names the job.

    ``image`` is the container image of a job that is one; a run spec's own is known without. A variable that can be
    split holds ``most`` characters.
    """
    return {**dict(_wandb_variables(order, api_key, image, most)), JOB_NAME_VARIABLE: order.name}


def _wandb_variables(order: WorkOrder, api_key: str, image: str | None, most: int) -> Iterator[tuple[str, str]]:
    spec = order.spec
    yield "WANDB_BASE_URL", order.base_url
    yield "WANDB_API_KEY", api_key
    yield from _named_if_set("WANDB_PROJECT", spec.project)
    yield "WANDB_ENTITY", spec.entity
    yield "WANDB_LAUNCH", "True"
    yield "WANDB_RUN_ID", spec.run_id
    yield from _named_if_set("WANDB_DOCKER", image or spec.docker_image)
    yield from _named_if_set("WANDB_NAME", spec.name)
    yield from _named_if_set("WANDB_USERNAME", None if order.submitter_key else spec.author)
    yield from _named_if_set("WANDB_SWEEP_ID", spec.sweep_id)
    yield from _named_if_set("WANDB_RESUME", "allow" if spec.resume_count > 0 else None)
    if order.queue:
        yield "WANDB_LAUNCH_QUEUE_NAME", order.queue
        yield "WANDB_LAUNCH_QUEUE_ENTITY", order.entity
        yield "WANDB_LAUNCH_TRACE_ID", order.item_id
    yield from _in_chunks("WANDB_CONFIG", spec.overrides.run_config, most)
    yield from _in_chunks("WANDB_LAUNCH_FILE_OVERRIDES", spec.overrides.files, most)
    yield "WANDB_ARTIFACTS", json.dumps(_artifacts(spec))


def _named_if_set(name: str, value: str | None) -> Iterator[tuple[str, str]]:
    if value:
        yield name, value


def _in_chunks(name: str, value: Mapping[str, Any], most: int) -> Iterator[tuple[str, str]]:
    """Yield the JSON of ``value`` under ``name``, or as ``name_0``, ``name_1``, ... where it is over the limit."""
    text = json.dumps(value)
    if len(text) <= most:
        yield name, text
        return
    for number, start in enumerate(range(0, len(text), most)):
        yield f"{name}_{number}", text[start : start + most]


def _artifacts(spec: RunSpec) -> dict[str, Any]:
    own = {"_wandb_job": spec.job} if spec.job else {}
    return {**own, **spec.overrides.artifacts}
