"""The limit of open files of the agent and the server."""

import resource


def raise_limit() -> None:
    """Raise the soft limit of open files, usually 1,024, to the hard limit.

    The agent has four open files for each running job, the queue server two for each agent and one for each run.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
