"""The environment of the processes that a worker starts on this host: git, pip and the like, and a local job.

Of the agent's own environment they get what is on a short list. A secret is there for a tool alone that runs no code of
a submitter, and that no job's user can look into.
"""

from collections.abc import Mapping

from ipc.proxies import EXCEPTIONS, PROXIES, direct_loopback
from ipc.work_order import JobUser

_INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
)
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def process_environment(
    worker: Mapping[str, str], user: JobUser | None, *, proxy_passwords: bool = False
) -> dict[str, str]:
    """Return what a plain process needs of the worker's environment; ``user`` is its user, None for the worker's.

    A proxy's address may hold a password; then it stays with the agent, but for ``proxy_passwords``.
    """
    environment = {"PATH": _DEFAULT_PATH}
    environment.update((name, worker[name]) for name in _INHERITED if name in worker)
    proxies = {name: worker[name] for name in PROXIES if name in worker}
    environment.update((name, text) for name, text in proxies.items() if proxy_passwords or "@" not in text)
    environment.update((name, worker[name]) for name in EXCEPTIONS if name in worker)
    environment.update(direct_loopback(environment))
    # As in W&B's images: what a job printed last is there when it is killed.
    environment["PYTHONUNBUFFERED"] = "1"
    if user is not None:
        environment.update(HOME=user.home, USER=user.login, LOGNAME=user.login, SHELL=user.shell)
        if user.temporary is not None:
            environment["TMPDIR"] = user.temporary
    return environment
