"""Repeats a run: a `uri` that is the address of a run is replaced by the run's repository, commit and command."""

import msgspec

from launchd.api.access import Access
from launchd.api.coerce import as_mapping
from launchd.api.errors import LaunchError
from launchd.api.run_spec import LaunchArgs
from launchd.api.sources import run_address


def resolve_rerun(access: Access, args: LaunchArgs) -> LaunchArgs:
    """Return ``args`` with the repository, commit, command and project of the run whose address its uri is.

    Version, entry point and project that were given win over the run's. With any other uri, ``args`` is unchanged.

    Raises:
        LaunchError: there is no such run, or it did not run in a git repository.
        QueueServerError: the server refuses or does not answer.
    """
    config = as_mapping(args.config, "config")
    uri = str(args.uri or config.get("uri") or "")
    run = run_address(uri)
    if run is None:
        return args
    source = access.queue_server.run_source(*run)
    if source is None:
        raise LaunchError(
            f"The server at {access.base_url} knows of no git repository that the run {uri} ran in."
            " Launch its job (job=) or its directory (uri=)."
        )
    return msgspec.structs.replace(
        args,
        uri=source.remote,
        version=args.version or source.commit,
        entry_point=args.entry_point or source.command,
        project=args.project or config.get("project") or run.project,
    )
