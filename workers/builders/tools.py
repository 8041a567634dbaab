"""Runs installers: as whom, in which environment, and what they said when they failed."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ipc.errors import BuildError
from ipc.proxies import proxy_secrets
from ipc.work_order import JobUser
from workers.builders.installers import Command
from workers.context import JobContext
from workers.process_environment import process_environment
from workers.subprocess_runner import Limits, ToolCommand, ToolFailed, run_command

#: What is installed can be read by all who may pass to it, and written by its owner alone.
_UMASK = 0o022
#: How pip and uv begin a complaint; what is indented below belongs to it.
_COMPLAINT = re.compile(r"^(?:ERROR:|error:| *×)(.+(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_ORNAMENTS = str.maketrans("╰├─▶", "    ")
#: What git says when it gives up, which installers show far from their own last words.
_OF_GIT = re.compile(r"^[\s│]*fatal: (.+?)\s*$", re.MULTILINE)
_LONGEST_COMPLAINT = 400


class Workshop(msgspec.Struct, frozen=True):
    """Where installers run for a job: as ``user`` (None for the agent's), in ``directory``, with ``environment``.

    ``keep_open`` are descriptors that they inherit, ``secrets`` texts that are not to be seen in their output.
    """

    context: JobContext
    user: JobUser | None
    directory: Path
    environment: Mapping[str, str]
    keep_open: tuple[int, ...] = ()
    secrets: tuple[str, ...] = ()

    def run(self, arguments: Command) -> None:
        """Run a tool to its end.

        Raises:
            ToolFailed: it did not succeed.
            JobCancelled: the job was stopped meanwhile.
        """
        limits = Limits(
            silent_seconds=self.context.order.venv.no_progress_timeout_seconds,
            silent_key="launchd.venv.no_progress_timeout_seconds",
        )
        command = ToolCommand(
            arguments, self.environment, self.directory, limits, self.user, self.keep_open, umask=_UMASK
        )
        run_command(self.context, command, self.context.progress, self._redact)

    def _redact(self, text: str) -> str:
        for secret in (*self.secrets, *proxy_secrets(self.environment)):
            text = text.replace(secret, "***")
        return text


def tool_environment(
    user: JobUser | None, settings: Mapping[str, str], *, proxy_passwords: bool = False
) -> dict[str, str]:
    """Return the environment of an installer that runs as ``user`` and is told ``settings``.

    With ``proxy_passwords`` also those of proxies: no code of a submitter may run in it, nor another of its user.
    """
    environment = process_environment(os.environ, user, proxy_passwords=proxy_passwords)
    # The certificates that this host trusts, as pip does; newer and older releases of uv know it by these two names.
    environment.update(UV_SYSTEM_CERTS="true", UV_NATIVE_TLS="true")
    environment.update(settings)
    # No interpreter but the one chosen, and no question on a terminal.
    environment.update(UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    if not Path(environment.get("HOME", "")).is_dir():
        environment.update(UV_NO_CACHE="1", PIP_NO_CACHE_DIR="1")
    return environment


def give_directory(path: Path, user: JobUser | None, mode: int = 0o755) -> Path:
    """Make the directory ``path`` and give it to ``user`` while it is empty; return it.

    Raises:
        FileExistsError: there is something of that name.
    """
    path.mkdir(mode=0o700)
    if user is not None:
        os.chown(path, user.uid, user.gid)
    path.chmod(mode)
    return path


def give_file(path: Path, text: str, user: JobUser | None) -> Path:
    """Write the file ``path``, which ``user`` alone can read, into a directory of the agent's; return it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if user is not None:
            os.fchown(descriptor, user.uid, user.gid)
        file.write(text)
    return path


def build_error(origin: str, error: ToolFailed) -> BuildError:
    """Return the error of a job whose environment could not be built, with the last of the tool's own words."""
    return BuildError(
        f"The environment from {origin} could not be built: {in_words(error)}",
        hint="All that was said is in `launchd logs --worker`, on the host that built it.",
        detail=error.output,
    )


def in_words(error: ToolFailed) -> str:
    """Return how the tool ended, and the last of its own words on it."""
    complaints = _COMPLAINT.findall(error.output)
    said = error.message
    if complaints:
        words = " ".join(complaints[-1].translate(_ORNAMENTS).split())[:_LONGEST_COMPLAINT]
        said = f"{said} It said: {words.rstrip('.')}."
    reason = _OF_GIT.search(error.output)
    if reason is None or reason[1] in said:
        return said
    return f"{said} Git said: {reason[1][:_LONGEST_COMPLAINT].rstrip('.')}."
