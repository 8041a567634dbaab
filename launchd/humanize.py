"""Numbers of jobs in words, for the command line and for systemd's status line alike. Pure functions."""


def jobs_in_words(number: int) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} job" if number == 1 else f"{number} jobs"


def limit_in_words(max_jobs: int) -> str:
    """``at most 3 jobs``; ``any number of jobs`` where there is no limit (-1)."""
    return "any number of jobs" if max_jobs < 0 else f"at most {jobs_in_words(max_jobs)}"
