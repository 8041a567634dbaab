"""Who installs what the jobs of this host share: a user of its own, where jobs are not run as the agent's user."""

from ipc.work_order import JobUser
from launchd.agent.job_users import named_user

_NO_HOME = "/nonexistent"


def install_user(setting: str, job_user: JobUser | None) -> JobUser | None:
    """Return the user that ``launchd.venv.install_user`` names or numbers, for a job of ``job_user``.

    None where the job runs as the agent's user, which then installs, and where the job's user is that very user, which
    must not; raises :class:`LookupError` where this host has no user of that name.
    """
    if job_user is None:
        return None
    user = JobUser(int(setting), int(setting), _NO_HOME) if setting.isdigit() else named_user(setting)
    return user if user.uid != job_user.uid else None
