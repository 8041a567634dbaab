"""Where a run branches off another: what W&B's clients write into the config of a fork (`wandb.init(fork_from=)`)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from launchd.server.errors import Refused

#: W&B's own part of a run's configuration, which tells how the run was started.
OWN_KEY = "_wandb"


class BranchPoint(msgspec.Struct, frozen=True):
    """The run that a fork begins with, by its name in the same project, and its last step that the fork has too."""

    run_id: str
    step: int


def branch_point(config: Mapping[str, Any]) -> BranchPoint | None:
    """Return the branch point in a run's configuration; None for a run that is no fork.

    Raises:
        Refused: it is none.
    """
    own = config.get(OWN_KEY)
    value = own.get("value") if isinstance(own, dict) else None
    given = value.get("branch_point") if isinstance(value, dict) else None
    if given is None:
        return None
    try:
        return msgspec.convert(given, BranchPoint, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(f"The branch point in the run's config is wrong: {error}.") from error


def with_inherited(config: Mapping[str, Any], inherited: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a fork: what the run before it was given counts where the fork says nothing."""
    return {key: value for key, value in inherited.items() if key != OWN_KEY} | dict(config)
