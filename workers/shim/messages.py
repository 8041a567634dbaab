"""The messages between a worker and its shim: one request and one reply, as JSON on a socket."""

from enum import StrEnum

import msgspec

from ipc.settings import JobsConfig
from ipc.work_order import JobUser


class ShimLaunchRequest(msgspec.Struct, frozen=True):
    """Start ``command`` in ``work`` with exactly ``environment``, as ``user``, None for the agent's.

    ``directory`` is the job's, ``jobs`` holds the limits of its output and the grace of a stop whose own is not known;
    ``cache_locks`` are files to be locked (shared) while the job lives. ``group`` is the path of the control group that
    was made for the command, None for none; ``processors`` are those that it is to run on, as the kernel lists them,
    None for any. ``umask`` is the command's.
    """

    name: str
    directory: str
    work: str
    command: tuple[str, ...]
    environment: dict[str, str]
    jobs: JobsConfig
    user: JobUser | None = None
    cache_locks: tuple[str, ...] = ()
    group: str | None = None
    processors: str | None = None
    umask: int = 0o022


class LaunchOutcome(StrEnum):
    """What became of a :class:`ShimLaunchRequest`."""

    #: The command runs, or has its exit record already.
    STARTED = "started"
    #: It was started before, or another shim is about to.
    TAKEN = "taken"
    #: Nothing was started; the message says why.
    REFUSED = "refused"


class LaunchReply(msgspec.Struct, frozen=True):
    """Reply to a launch request."""

    outcome: LaunchOutcome
    message: str | None = None


#: Made once, in the fork server: making them takes longer than using them.
launch_decoder = msgspec.json.Decoder(ShimLaunchRequest)
reply_decoder = msgspec.json.Decoder(LaunchReply)
