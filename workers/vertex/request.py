"""The request that creates a custom job on Vertex AI, made of a job's resource args. Pure; knows no SDK.

The keys, and what they do, are those of W&B's agent (0.20.1, ``VertexRunner``), which hands them to the SDK's
``CustomJob`` and its ``submit``. What differs is in docs/vertex.md.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ipc.errors import InvalidSpec
from ipc.own_args import SECTION
from ipc.targets import VERTEX, find_target
from ipc.work_order import WorkOrder
from workers.macros import filled, macros_of
from workers.runners import LaunchRequest
from workers.wrong_arguments import wrong_arguments

#: A job with this label is the one of this workload name.
NAME_LABEL = "launchd-name"
QUEUE_LABEL = "launchd-queue"
#: W&B's label.
RUN_LABEL = "wandb-run-id"

#: Fields of a job's spec, under ``run`` (W&B's place) or ``spec`` (that of W&B's documents).
_JOB_FIELDS = ("service_account", "network", "enable_web_access", "tensorboard", "persistent_resource_id",
               "reserved_ip_ranges", "psc_interface_config")  # fmt: skip
_SCHEDULING = (
    "timeout",
    "restart_job_on_worker_restart",
    "disable_retries",
    "scheduling_strategy",
    "max_wait_duration",
)
_DURATIONS = ("timeout", "max_wait_duration")
_EXPERIMENT = ("experiment", "experiment_run")
_RUN_KEYS = frozenset((*_JOB_FIELDS, *_SCHEDULING, *_EXPERIMENT))
_SPEC_KEYS = frozenset({"worker_pool_specs", "staging_bucket", "base_output_dir", "encryption_spec_key_name", "labels"})

_LABEL_LENGTH = 63
_LONGEST_NAME = 128
_NO_LABEL = re.compile(r"[^a-z0-9_-]")


class Place(msgspec.Struct, frozen=True):
    """Where jobs are created: in a project of Google Cloud, in a region."""

    project: str
    region: str

    @property
    def path(self) -> str:
        """The name of the place in the API."""
        return f"projects/{self.project}/locations/{self.region}"


class VertexArgs(msgspec.Struct, frozen=True):
    """A job's arguments: W&B's ``spec`` and ``run``, with macros filled. ``ignored`` are keys without an effect."""

    spec: Mapping[str, Any]
    run: Mapping[str, Any]
    ignored: tuple[str, ...] = ()


class _Args(msgspec.Struct):
    spec: dict[str, Any] = {}
    run: dict[str, Any] = {}


def read_args(order: WorkOrder, image: str) -> VertexArgs:
    """Return the arguments of the job of ``order``, whose image is ``image``.

    Raises:
        InvalidSpec: there are none, or they are not of their types.
    """
    target = find_target(VERTEX)
    words = target.words if target is not None else ()
    given = next((args for word in sorted(words, reverse=True) if (args := order.spec.resource_args.get(word))), None)
    if not given:
        raise InvalidSpec("The job has no resource_args.vertex.", hint="The queue's configuration has spec and run.")
    macros = macros_of(order.spec, image, order.policy.vertex.host_variables)
    try:
        args = msgspec.convert(filled(dict(given), macros), _Args)
    except msgspec.ValidationError as error:
        raise wrong_arguments("resource_args.vertex", error) from error
    return VertexArgs(args.spec, args.run, tuple(_ignored(given, args)))


def _ignored(given: Mapping[str, Any], args: _Args) -> Iterator[str]:
    yield from (key for key in given if key not in ("spec", "run", "builder", SECTION))
    yield from (f"spec.{key}" for key in args.spec if key not in _SPEC_KEYS | _RUN_KEYS)
    yield from (f"run.{key}" for key in args.run if key not in _RUN_KEYS)


def job_request(args: VertexArgs, order: WorkOrder, launch: LaunchRequest, place: Place) -> dict[str, Any]:
    """Return the custom job in the form of the API, with the names of its fields in small letters.

    Raises:
        InvalidSpec: an argument is missing, or is not of its type.
    """
    spec = args.spec
    request: dict[str, Any] = {
        "display_name": (order.spec.name or launch.name)[:_LONGEST_NAME],
        "labels": _labels(spec.get("labels"), order, launch.name),
        "job_spec": _job_spec(args, launch, place),
    }
    if spec.get("encryption_spec_key_name"):
        request["encryption_spec"] = {"kms_key_name": spec["encryption_spec_key_name"]}
    return request


def _job_spec(args: VertexArgs, launch: LaunchRequest, place: Place) -> dict[str, Any]:
    both = {**args.spec, **args.run}
    output = args.spec.get("base_output_dir") or f"{staging_bucket(args)}/aiplatform-custom-job-{launch.name}"
    job: dict[str, Any] = {
        "worker_pool_specs": [_pool(pool, launch) for pool in _pools(args.spec)],
        "base_output_directory": {"output_uri_prefix": output},
        **{key: both[key] for key in _JOB_FIELDS if both.get(key)},
    }
    scheduling = _scheduling(both)
    if scheduling:
        job["scheduling"] = scheduling
    return job | _experiment(both, place)


def staging_bucket(args: VertexArgs) -> str:
    """Return the bucket of ``spec.staging_bucket``, which W&B's agent requires; raises :class:`InvalidSpec`."""
    bucket = args.spec.get("staging_bucket")
    if not isinstance(bucket, str) or not bucket:
        raise InvalidSpec(
            "The job has no staging bucket.", hint="Name it in resource_args.vertex.spec.staging_bucket: gs://BUCKET."
        )
    return bucket if bucket.startswith("gs://") else f"gs://{bucket}"


def _pools(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    pools = spec.get("worker_pool_specs")
    if not isinstance(pools, list) or not pools:
        raise InvalidSpec(
            "The job has no worker pool.", hint="List one in resource_args.vertex.spec.worker_pool_specs."
        )
    for number, pool in enumerate(pools):
        container = pool.get("container_spec") if isinstance(pool, dict) else None
        # A pool that is left empty has no machines; so says the API, and so does W&B's agent not.
        if not isinstance(container, dict):
            raise InvalidSpec(
                f"The worker pool {number} has no container.",
                hint=f"Add resource_args.vertex.spec.worker_pool_specs[{number}].container_spec, with the image.",
            )
    return pools


def _pool(pool: Mapping[str, Any], launch: LaunchRequest) -> dict[str, Any]:
    container = dict(pool["container_spec"])
    container.setdefault("image_uri", launch.build.image)
    if launch.entry_point:
        container["command"] = list(launch.command)
    elif launch.args:
        # The image's own entry point takes them.
        container["args"] = list(launch.args)
    container["env"] = _environment(container.get("env"), launch.environment)
    return {**pool, "container_spec": container}


def _environment(given: Any, own: Mapping[str, str]) -> list[Any]:
    """Return the variables of a container: those of a job go before those of its arguments."""
    if given is not None and not (isinstance(given, list) and all(isinstance(one, dict) for one in given)):
        raise InvalidSpec("The env of a container_spec must be a list of names and values.")
    kept = [one for one in given or () if one.get("name") not in own]
    return [*kept, *({"name": name, "value": value} for name, value in own.items())]


def _labels(given: Any, order: WorkOrder, name: str) -> dict[str, str]:
    if given is not None and not isinstance(given, dict):
        raise InvalidSpec("resource_args.vertex.spec.labels must be a mapping of names to texts.")
    own = {RUN_LABEL: order.spec.run_id, QUEUE_LABEL: order.queue, NAME_LABEL: name}
    return {**(given or {}), **{key: _label(text) for key, text in own.items() if text}}


def _label(text: str) -> str:
    """Return ``text`` as the value of a label, which has few characters."""
    return _NO_LABEL.sub("-", text.lower())[:_LABEL_LENGTH]


def _scheduling(both: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: both[key] for key in _SCHEDULING if both.get(key)}
    for key in _DURATIONS:
        if key in found:
            found[key] = _duration(key, found[key])
    if "scheduling_strategy" in found:
        found["strategy"] = found.pop("scheduling_strategy")
    return found


def _duration(key: str, value: Any) -> str:
    """Return seconds in the API's form."""
    try:
        return f"{msgspec.convert(value, int, strict=False)}s"
    except msgspec.ValidationError:
        raise InvalidSpec(f"resource_args.vertex.run.{key} must be a number of seconds.") from None


def _experiment(both: Mapping[str, Any], place: Place) -> dict[str, str]:
    """Return an experiment, and its run, by their whole names; both must exist."""
    experiment, run = (both.get(key) for key in _EXPERIMENT)
    if not experiment:
        return {}
    found = {"experiment": _context(str(experiment), place)}
    return found if not run else found | {"experiment_run": _context(f"{str(experiment).split('/')[-1]}-{run}", place)}


def _context(name: str, place: Place) -> str:
    return name if "/" in name else f"{place.path}/metadataStores/default/contexts/{name}"
