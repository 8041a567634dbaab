"""Launching what a run ran: `uri` may be a run's address. Owns what then stands in for it; asks the server once."""

import msgspec

from launchd.api.access import Access
from launchd.api.coerce import as_mapping
from launchd.api.errors import LaunchError
from launchd.api.run_spec import LaunchArgs
from launchd.api.sources import run_address


def resolve_rerun(access: Access, asked: LaunchArgs) -> LaunchArgs:
    """Return ``asked`` with the repository, commit, command and project of the run that its uri is the address of.

    What was given beside it stays. Any other uri is returned as it is.

    Raises:
        LaunchError: there is no such run, or it did not run in a git repository. `QueueServerError`: as always.
    """
    config = as_mapping(asked.config, "config")
    uri = str(asked.uri or config.get("uri") or "")
    run = run_address(uri)
    if run is None:
        return asked
    source = access.queue_server.run_source(*run)
    if source is None:
        raise LaunchError(
            f"The server at {access.base_url} knows of no git repository that the run {uri} ran in."
            " Launch its job (job=) or its directory (uri=)."
        )
    return msgspec.structs.replace(
        asked,
        uri=source.remote,
        version=asked.version or source.commit,
        entry_point=asked.entry_point or source.command,
        project=asked.project or config.get("project") or run.project,
    )
