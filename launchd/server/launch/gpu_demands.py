"""Which GPUs a run spec asks for, as the store keeps it: checked when the item is pushed."""

from collections.abc import Mapping
from typing import Any

from ipc.errors import InvalidSpec
from ipc.gpus import gpu_request
from ipc.run_spec import RunSpec
from ipc.targets import LOCAL_CONTAINER
from launchd.server.errors import Refused
from launchd.server.launch.run_specs import is_scheduler
from launchd.server.store.launch.demands import NONE, encode

_LONGEST_DEMAND = 2000
"""Characters: an index of PostgreSQL has no room for much more, and no host has so many GPUs."""


def demand_of(spec: Mapping[str, Any]) -> str:
    """The demand of a run spec in the form in which it is stored.

    The scheduler of a sweep asks for none: it runs beside the agent. What is wrong otherwise is told by the agent.

    Raises:
        Refused: the GPUs that it asks for are not to be read, with the key and the reason.
    """
    if is_scheduler(spec):
        return NONE
    resource = spec.get("resource") or LOCAL_CONTAINER
    args = spec["resource_args"].get(resource)
    if not isinstance(args, dict):
        return NONE
    try:
        request = gpu_request(RunSpec("", "", "", resource=resource, resource_args={resource: args}))
    except InvalidSpec as error:
        raise Refused(error.report().sentence()) from error
    demand = NONE if request is None else encode(request)
    if len(demand) > _LONGEST_DEMAND:
        raise Refused(f"The run spec names GPUs in more than {_LONGEST_DEMAND} characters; no host has so many.")
    return demand
