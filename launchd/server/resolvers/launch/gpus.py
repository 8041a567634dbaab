"""What agents tell of their GPUs: read from a claim, or told between claims."""

from collections.abc import Mapping
from typing import Any

from ariadne import MutationType
from sqlalchemy import Connection

from ipc.gpus import GpuKind, GpuSummary
from launchd.server.context import Info
from launchd.server.errors import Refused
from launchd.server.models import AgentGpus
from launchd.server.store.launch import agents
from launchd.server.store.launch.agent_texts import storable

mutation = MutationType()
bindables = [mutation]

_MOST_KINDS, _MOST_DEVICES = 64, 2048
_LONGEST_NAME, _HIGHEST = 200, 2**53


def read_gpus(given: Mapping[str, Any] | None) -> AgentGpus | None:
    """The GPUs in a request; None: the agent does not say.

    Raises:
        Refused: more kinds or names than a host has, or a number that is none.
    """
    if given is None:
        return None
    names = (given["devices"], given["free_devices"])
    if len(given["kinds"]) > _MOST_KINDS or any(len(words) > _MOST_DEVICES for words in names):
        raise Refused(f"An agent has at most {_MOST_KINDS} kinds of GPUs, and {_MOST_DEVICES} names for them.")
    devices, free_devices = (tuple(storable(word, _LONGEST_NAME) or "" for word in words) for words in names)
    kinds = tuple(_kind(kind) for kind in given["kinds"])
    summary = GpuSummary(kinds=kinds, devices=devices, free_devices=free_devices)
    return AgentGpus(version=_number(given["version"]), summary=summary)


def _kind(given: Mapping[str, Any]) -> GpuKind:
    return GpuKind(
        name=storable(given["name"], _LONGEST_NAME) or "",
        memory=_number(given["memory"]),
        free=_number(given["free"]),
        usable=_number(given["usable"]),
        total=_number(given["total"]),
        vendor=storable(given["vendor"], _LONGEST_NAME) or "",
        is_instance=given["is_instance"],
    )


def _number(given: int) -> int:
    if not 0 <= given <= _HIGHEST:
        raise Refused(f"The numbers of an agent's GPUs are from 0 to 2^53, not {given}.")
    return given


@mutation.field("reportGpus")
async def report_gpus(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    told = read_gpus(input["gpus"])

    def work(connection: Connection) -> bool:
        agent = agents.require_agent(connection, context.viewer, input["launch_agent_id"])
        agents.check_incarnation(agent, input.get("incarnation"))
        return told is not None and agents.note_gpus(connection, agent, told)

    success = await context.write_guarded(work)
    # Its claims that wait were for what was free before.
    context.app.notifier.wake_all([input["launch_agent_id"]])
    return {"success": success}
