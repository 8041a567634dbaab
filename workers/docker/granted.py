"""What a job asks of a container engine, as this host's policy grants it: read, followed to its end, and judged.

Owns the order of these steps. Looks at the host's file system through :mod:`workers.docker.host_paths` alone.
"""

import os
from urllib.parse import urlsplit

from ipc.errors import PolicyRefused
from ipc.targets import LOCAL_CONTAINER
from ipc.work_order import WorkOrder
from workers.docker import host_paths, limits, policy
from workers.docker.flags import translate
from workers.docker.images import ImageName, parse_image
from workers.docker.macros import fill
from workers.docker.request import ContainerRequest

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST_NETWORK = "host"


def granted_image(text: str, order: WorkOrder) -> ImageName:
    """Return the image that ``text`` names; raises :class:`InvalidSpec` or :class:`PolicyRefused`."""
    image = parse_image(text)
    refusal = policy.refuse_image(image, order.policy.containers)
    if refusal is not None:
        raise PolicyRefused(refusal)
    return image


def granted_request(order: WorkOrder, image: str, engine_socket: str | None) -> ContainerRequest:
    """Return what the job asks for, with paths as they are at this moment.

    Raises:
        InvalidSpec: an argument cannot be used.
        PolicyRefused: the policy does not grant it.
    """
    rules = host_paths.resolve_rules(order.policy.containers)
    args = order.spec.resource_args.get(LOCAL_CONTAINER)
    request = host_paths.resolve(translate(fill(args, order.spec, image, rules.host_variables)))
    refused = [
        *policy.refusals(request, rules, _facts(order, engine_socket)),
        *limits.refusals(request.config, rules.limits),
    ]
    if not refused:
        names = host_paths.bare_names(request)
        refused = [text for name in names if (text := policy.refuse_variable(name, rules)) is not None]
    if refused:
        raise PolicyRefused(" ".join(refused))
    return request


def _facts(order: WorkOrder, engine_socket: str | None) -> policy.Facts:
    # A job's directory lies in that of all jobs, in the agent's own.
    state_dir = os.path.dirname(os.path.dirname(order.directory))  # noqa: PTH120 (a Path would intern the job's name)
    return policy.Facts(
        engine_sockets=host_paths.engine_sockets(engine_socket),
        agent_directories=(os.path.realpath(state_dir),),
    )


def network_of(request: ContainerRequest, order: WorkOrder) -> str | None:
    """Return the job's network: for a server on the loopback interface the host's (W&B's rule), where granted."""
    is_granted = _HOST_NETWORK in order.policy.containers.networks
    if request.network is None and is_granted and _is_loopback(order.base_url):
        return _HOST_NETWORK
    return request.network


def loopback_warning(request: ContainerRequest, order: WorkOrder) -> str | None:
    """Return why the job cannot reach its queue server, or ``None`` where it can."""
    if not _is_loopback(order.base_url) or network_of(request, order) == _HOST_NETWORK:
        return None
    return (
        f"The queue server {order.base_url} is reached from a container on the host's own network alone,"
        " which launchd.policy.containers.networks does not grant: the job cannot report to it."
    )


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK
