"""Whom a container runs as, where neither its job nor the policy says so. Pure."""

import msgspec

from ipc.policy_rules import ContainerRules
from ipc.work_order import JobUser
from workers.docker.request import ContainerRequest

#: A directory of the container's own that its user may write to; no image has one of this name.
HOME = "/launchd-home"


class ContainerUser(msgspec.Struct, frozen=True):
    """A user of a container: ``text`` as the engine takes it. With ``owner`` it has a home of its own, at ``HOME``.

    ``owner`` are the numbers of user and group.
    """

    text: str
    owner: tuple[int, int] | None = None


def container_user(
    request: ContainerRequest, rules: ContainerRules, job_user: JobUser | None, agent: tuple[int, int]
) -> ContainerUser | None:
    """Return whom the container runs as, ``None`` for whom the job or else the image names.

    What a job writes to a directory of the host is its own: with such a mount, the container has the numbers of the
    job's user, or those of ``agent``, as which jobs run that have none. Root is given to no container in this way.
    """
    if "User" in request.config:
        return None
    if rules.user is not None:
        return ContainerUser(rules.user)
    owner = (job_user.uid, job_user.gid) if job_user else agent
    if owner[0] == 0 or all(bind.read_only for bind in request.binds):
        return None
    return ContainerUser(f"{owner[0]}:{owner[1]}", owner)
