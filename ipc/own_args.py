"""The section ``launchd`` in a job's resource args: what its submitter tells this agent, on any target. Pure."""

from typing import Any

from ipc.errors import InvalidSpec
from ipc.run_spec import RunSpec

#: The section's key in the resource args of the job's resource.
SECTION = "launchd"

GPUS, GPU_MEMORY, MAX_RUNTIME = "gpus", "gpu_memory", "max_runtime_seconds"
KEYS = (GPUS, GPU_MEMORY, MAX_RUNTIME)

#: Keys of ``resource_args.local-process``. Others are ignored, as W&B's agent ignores all of them.
LOCAL_PROCESS_KEYS = ("memory", "processors", "processes", "disk", SECTION)


def place_of(spec: RunSpec, key: str) -> str:
    """Return where a key of the section stands in a run spec, for people."""
    return f"resource_args.{spec.resource}.{SECTION}.{key}"


def own_args(spec: RunSpec) -> dict[str, Any]:
    """Return the section of ``spec``, empty where there is none.

    Raises:
        InvalidSpec: it is no object, or has a key that this agent does not know.
    """
    place, hint = f"resource_args.{spec.resource}.{SECTION}", f"It has {', '.join(KEYS[:-1])} and {KEYS[-1]}."
    match spec.resource_args.get(spec.resource, {}).get(SECTION):
        case None:
            return {}
        case dict(section):
            unknown = sorted(set(map(str, section)) - set(KEYS))
            if unknown:
                raise InvalidSpec(f"{place} in the run spec has no key {unknown[0]!r}.", hint=hint)
            return section
        case _:
            raise InvalidSpec(f"{place} in the run spec must be an object.", hint=hint)
