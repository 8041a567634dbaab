"""The environment of a run of the tests: none of the settings that the machine or its user has for our programs."""

from collections.abc import MutableMapping

#: Beginnings of variables that programs of ours, and those they start, would obey.
FOREIGN = ("DOCKER_", "GIT_", "LAUNCHD_", "NETRC", "PYTHONDONTWRITEBYTECODE", "WANDB_", "XDG_")
#: The tests' own.
KEPT = ("LAUNCHD_REQUIRE_PARTS", "LAUNCHD_TEST", "LAUNCHD_WANDB_VENVS", "GIT_SSL_CAINFO")
PROXY = "_proxy"

#: Names a container engine for those who may start none; see :mod:`tests.support.engine`.
DOCKER_HOST = "LAUNCHD_TEST_DOCKER_HOST"


def scrub(environ: MutableMapping[str, str]) -> None:
    """Take out what is not the tests' own."""
    for name in list(environ):
        if name.lower().endswith(PROXY) or (name.startswith(FOREIGN) and not name.startswith(KEPT)):
            del environ[name]
