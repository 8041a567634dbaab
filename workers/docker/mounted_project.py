"""A job's code in a container whose image has none: the project's directory is mounted, where W&B's agent has it."""

import os
import posixpath
from typing import Any

from ipc.work_order import WorkOrder
from workers.docker.engine import Container
from workers.runners import LaunchRequest

#: W&B's place.
PROJECT_PLACE = "/mnt/wandb"


def has_project(container: Container) -> bool:
    """Return whether a container has its job's project mounted."""
    return any(mount.type == "bind" and mount.destination == PROJECT_PLACE for mount in container.mounts or ())


def with_project(config: dict[str, Any], launch: LaunchRequest, order: WorkOrder) -> dict[str, Any]:
    """Return the engine's request with the project mounted, where ``launch`` has an image without code.

    What the container writes there belongs to the job's user, unless the job was granted another one.
    """
    if not launch.build.mounts_project:
        return config
    host = config["HostConfig"]
    mount = {
        "Type": "bind",
        "Source": str(launch.work),
        "Target": PROJECT_PLACE,
        "ReadOnly": False,
        "BindOptions": {"Propagation": "rprivate"},
    }
    place = posixpath.normpath(posixpath.join(PROJECT_PLACE, launch.place))
    user = (order.user.uid, order.user.gid) if order.user else (os.geteuid(), os.getegid())
    own = {"WorkingDir": place, "User": f"{user[0]}:{user[1]}"}
    home = [] if any(text.startswith("HOME=") for text in config["Env"]) else [f"HOME={PROJECT_PLACE}"]
    mounted = {"Env": [*config["Env"], *home], "HostConfig": host | {"Mounts": [*host.get("Mounts", ()), mount]}}
    return own | config | mounted
