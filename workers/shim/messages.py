"""What a worker tells its shim, and what the shim answers: once each, as JSON on a socket."""

from enum import StrEnum

import msgspec

from ipc.work_order import OutputLimits


class ShimLaunchRequest(msgspec.Struct, frozen=True):
    """Start ``command`` in ``work`` with exactly ``environment``, as ``user`` where one is named.

    ``directory`` is the job's, ``stop_grace_seconds`` the grace of a stop whose
    own is not known, ``holds`` are files to be locked (shared) while the job lives.
    """

    name: str
    directory: str
    work: str
    command: tuple[str, ...]
    environment: dict[str, str]
    output: OutputLimits
    stop_grace_seconds: float
    user: str | None = None
    cache_locks: tuple[str, ...] = ()


class LaunchOutcome(StrEnum):
    """What became of a :class:`ShimLaunch`."""

    #: The command runs, or has its exit record already.
    STARTED = "started"
    #: It was started before, or another shim is about to.
    TAKEN = "taken"
    #: Nothing was started; the message says why.
    REFUSED = "refused"


class LaunchReply(msgspec.Struct, frozen=True):
    """The shim's only word to its worker."""

    outcome: LaunchOutcome
    message: str | None = None


#: Made once, where the process is that all workers are forked from: making them takes longer than using them.
launch_decoder = msgspec.json.Decoder(ShimLaunchRequest)
reply_decoder = msgspec.json.Decoder(LaunchReply)
