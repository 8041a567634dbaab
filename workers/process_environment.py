"""The environment of the processes that a worker starts on this host: git, pip and the like, and a local job.

Of the agent's own environment they get what is on a short list, never a secret.
"""

from collections.abc import Mapping

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
#: A proxy's address may hold a password; then it stays with the agent.
_INHERITED_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def process_environment(worker: Mapping[str, str], user: JobUser | None) -> dict[str, str]:
    """Return what a plain process needs of the worker's environment; ``user`` is its user, None for the worker's."""
    environment = {"PATH": _DEFAULT_PATH}
    environment.update((name, worker[name]) for name in _INHERITED if name in worker)
    environment.update((name, worker[name]) for name in _INHERITED_PROXIES if "@" not in worker.get(name, "@"))
    # As in W&B's images: what a job printed last is there when it is killed.
    environment["PYTHONUNBUFFERED"] = "1"
    if user is not None:
        environment.update(HOME=user.home, USER=user.login, LOGNAME=user.login, SHELL=user.shell)
        if user.temporary is not None:
            environment["TMPDIR"] = user.temporary
    return environment
