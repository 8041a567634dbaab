"""How many files a daemon of ours may have open. Owns the process's limit."""

import resource


def raise_limit() -> None:
    """Allow as many open files as this process may have: the usual soft limit is 1,024.

    The agent has four for each running job, the queue server two for each agent and one for each run.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
