"""The Secrets of one job in a cluster: its key, what its images are pulled with, and files that no image has.

Each has a name that follows from the workload's, belongs to the job's object, and goes with it.
"""

import re
from collections.abc import Iterator
from typing import Any

from ipc.work_order import WorkOrder
from workers.docker.images import parse_image
from workers.kubernetes.manifest import SECRET_KEY
from workers.kubernetes.secret_objects import Object, docker_config_secret
from workers.registries import load_registry
from workers.registries.credentials import auth_file
from workers.registries.names import split

#: What follows the workload's name in the names of its Secrets; nothing does in that of its key. One pattern for all:
#: each worker would have to compile one of its own, which costs it a quarter of a megabyte.
_OWN_SUFFIX = re.compile(r"(-pull|-code-\d+)?")


def login_name(workload: str) -> str:
    """Return the name of the Secret with which a job's images are pulled."""
    return f"{workload}-pull"


def code_prefix(workload: str) -> str:
    """Return what the names of the Secrets with a job's files begin with."""
    return f"{workload}-code"


def key_secret(workload: str, key: str) -> Object:
    """Return the Secret that holds the job's own key; its name is the workload's."""
    return {"metadata": {"name": workload}, "type": "Opaque", "stringData": {SECRET_KEY: key}}


def pull_secret(workload: str, image: str | None, order: WorkOrder) -> Object | None:
    """Return the Secret to pull ``image`` with; None where it is in another registry than this agent's, or open.

    Raises:
        HostError: the agent's credentials for its registry cannot be read.
    """
    if image is None or order.registry is None or not order.kubernetes.pull_secrets:
        return None
    host = split(parse_image(image))[0]
    if order.registry.uri is not None and order.registry.uri.partition("/")[0] != host:
        return None
    found = load_registry(order).credentials(image)
    if found is None or found.registry != host:
        return None
    return docker_config_secret(login_name(workload), auth_file([found]))


def names_in(body: Object, workload: str) -> set[str]:
    """Return the names of the Secrets of a workload that its object names."""
    named = (text for text in _texts(body.get("spec")) if text.startswith(workload))
    return {text for text in named if _OWN_SUFFIX.fullmatch(text, len(workload))}


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)
        case _:
            pass
