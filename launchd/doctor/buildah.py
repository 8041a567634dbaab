"""buildah as this agent's builder: whether it is here, may unpack images, and has users for its builds."""

import os
import shutil
from collections.abc import Iterator

from launchd.doctor.asking import command_output
from launchd.doctor.findings import Finding, fail, not_applicable, ok
from launchd.doctor.host import Host
from launchd.doctor.isolation import others_with
from launchd.doctor.service import UNIT

SILENCE = ("systemd hangs.", "`systemctl status` says more.")

_BUILDAH = "buildah"
_DIRECTIVE = "RestrictSUIDSGID"
_BUILDS_FAIL = "Jobs whose image has to be built fail."


def check_buildah(host: Host) -> Iterator[Finding]:
    """Look for what stands in the way of builds without a daemon."""
    if host.config.builder.type != _BUILDAH:
        yield not_applicable("This agent does not build with buildah (builder.type).")
        return
    problems = [*_program(host), *_unit(host), *_users(host)]
    yield from problems or [ok("buildah is installed, and builds can be run.")]


def _program(host: Host) -> Iterator[Finding]:
    if shutil.which(_BUILDAH, path=host.environ.get("PATH")) is None:
        yield fail("buildah is not installed on this host.", _BUILDS_FAIL, "Install it: `apt-get install buildah`.")


def _unit(host: Host) -> Iterator[Finding]:
    if not host.file("/run/systemd/system").is_dir():
        return
    shown = command_output(["systemctl", "show", UNIT, f"--property=LoadState,{_DIRECTIVE}"], host.environ) or ""
    if {"LoadState=loaded", f"{_DIRECTIVE}=yes"} <= set(shown.splitlines()):
        yield fail(
            f"{UNIT} has {_DIRECTIVE}=yes: its builds can unpack no image that holds a program such as su.",
            _BUILDS_FAIL,
            f"`systemctl edit launch-agent`, with {_DIRECTIVE}=no in its section [Service], and restart the agent.",
        )


def _users(host: Host) -> Iterator[Finding]:
    numbers = host.config.launchd.buildah.user_numbers
    have_users = any(rules.run_as_users or rules.run_as_user for _, rules in host.rules())
    if numbers is None and os.geteuid() == 0 and have_users:
        yield fail(
            "Builds with buildah have no users of their own here, and the agent is root.",
            _BUILDS_FAIL,
            "Set launchd.buildah.user_numbers, such as 200000-265535.",
        )
    for sentence in others_with(host, numbers) if numbers else ():
        yield fail(
            sentence,
            "What runs as one of these numbers is ended before a build begins.",
            "Name a range of numbers that are free: launchd.buildah.user_numbers.",
        )
