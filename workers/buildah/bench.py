"""Runs buildah at one place of this host: as whom, in which environment, with which files, and for how long.

Owns the command lines. Root writes nothing into the place itself, whose files are the builds' own: what a build is
given lies beside it, in a directory that is root's. No code of a submitter runs while there are credentials within its
reach: their file, which is in memory, is there for a pull or a push alone.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from ipc.directories import PASSABLE
from ipc.errors import BuildError, HostError
from ipc.settings import NUMBERS_PER_BUILD
from ipc.trees import interpreter_for_users, remove_tree, tool_arguments
from workers.buildah import namespace
from workers.buildah.registries_conf import registries_conf
from workers.buildah.seats import Seat, end_processes
from workers.confined.hand_over import packed
from workers.context import JobContext
from workers.images.build_log import BUILD_LOG_FILE
from workers.images.secret_files import in_memory
from workers.process_environment import process_environment
from workers.registries.credentials import Credentials, auth_file
from workers.subprocess_runner import Limits, ToolCommand, ToolFailed, run_command

TOOL = "buildah"

#: In the place, made by the builds' own user.
_STORAGE, _RUN, _HOME, _TEMPORARY, _CONTEXT = "storage", "run", "home", "tmp", "context"
_SIGNATURES = "home/.config/containers/registries.d"
#: Root's own place for signatures is out of a namespace's reach.
_NO_SIGNATURES = "default-docker: {lookaside: file:///nonexistent}"
#: Of its temporary directory, buildah keeps what `RUN --mount=type=cache` names.
_KEPT_TEMPORARY = "buildah-cache*"
_AUTH_FILE = "registry-credentials"
#: Beside the place.
_NO_AUTH_FILE = "no-auth.json"
#: Says that what is in the place is for no other build, also where nothing was cleared up.
_NOT_KEPT = "not-kept"
_CERTIFICATES, _REGISTRIES_CONF = "certificates", "registries.conf"

#: For what is done in a moment, or removes files alone.
_QUICK_SECONDS = 300.0
_ONLY_OWNER = 0o400


class Bench:
    """A place while an image is built there. ``on_line`` gets what buildah says, after ``redact``."""

    def __init__(
        self, seat: Seat, context: JobContext, on_line: Callable[[str], None], redact: Callable[[str], str] = str
    ) -> None:
        self._seat = seat
        self._context = context
        # What clears up does so for a job that is to stop too.
        self._unstopped = JobContext(context.order, "", lambda _event: None)
        self._config = context.order.buildah
        self._on_line = on_line
        self._redact = redact
        self._files = seat.directory.with_name(f"{seat.directory.name}.files")

    @contextmanager
    def opened(self, insecure: Iterable[str]) -> Iterator[None]:
        """Clear the place of what was left there, and clear it again in the end; ``insecure`` names registries.

        Raises:
            BuildError: buildah cannot work on this host.
            HostError: the disk refuses it.
        """
        if shutil.which(TOOL, path=self._environment()["PATH"]) is None:
            raise HostError(
                "This agent's builder is buildah, which is not installed on this host.",
                hint="The administrator installs it, or chooses another builder.type.",
            )
        try:
            self._prepare(insecure)
            yield
            self._trim()
        except ToolFailed as error:
            raise failed("buildah cannot work on this host", error) from error
        except OSError as error:
            raise HostError(f"The place of the build in {self._seat.directory} cannot be used: {error}.") from error
        finally:
            self._tidy()

    @property
    def keeps(self) -> bool:
        """Whether layers are kept for the next build."""
        return self._seat.keeps

    def take_context(self, tree: Path) -> Path:
        """Return where builds find ``tree``, a directory of the agent's: a copy, where they have users of their own.

        Raises:
            BuildError: it cannot be copied.
        """
        if self._seat.first_user is None:
            return tree
        with packed(tree, None) as archive:
            arguments, script = tool_arguments("unpack", str(archive))
            enter = ("sh", "-c", f'mkdir {_CONTEXT} && cd {_CONTEXT} && exec "$@"', "sh")
            self._launch((*enter, *arguments), Limits(_QUICK_SECONDS), keep_open=(script, archive))
        return self._seat.directory / _CONTEXT

    def _put(self, name: str, text: str) -> None:
        """Write a file that builds can read and not change."""
        path = self._files / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _ONLY_OWNER)
        with os.fdopen(descriptor, "w") as file:
            self._give(descriptor)
            file.write(text)

    def run(self, *words: str, keep_open: tuple[int, ...] = ()) -> str:
        """Run a command of buildah and return the end of what it said.

        Raises:
            ToolFailed: it did not succeed, took too long, or made no progress.
            JobCancelled: the job was stopped meanwhile.
        """
        limits = Limits(
            self._config.timeout_seconds,
            self._config.no_progress_seconds,
            "launchd.buildah.timeout_seconds",
            "launchd.buildah.no_progress_seconds",
        )
        return self._launch((*self._tool(), *words), limits, keep_open=keep_open)

    def _tool(self) -> tuple[str, ...]:
        driver = ("--storage-driver", self._config.storage_driver) if self._config.storage_driver else ()
        places = ("--root", str(self._seat.directory / _STORAGE), "--runroot", str(self._seat.directory / _RUN))
        return (TOOL, *places, *driver)

    def run_with(self, credentials: Iterable[Credentials], command: str, *words: str) -> str:
        """Run a command of buildah that speaks with a registry, and shows it ``credentials``."""
        with in_memory({_AUTH_FILE: auth_file(credentials)}) as files:
            shown = f"/proc/self/fd/{files[_AUTH_FILE]}"
            return self.run(command, "--authfile", shown, *self.certificates(), *words, keep_open=tuple(files.values()))

    def certificates(self) -> tuple[str, ...]:
        """Return the option that names the certificates to be trusted beside the host's own."""
        return ("--cert-dir", str(self._files / _CERTIFICATES)) if self._context.order.registry_access.ca_file else ()

    def writable(self, path: Path) -> int:
        """Return the descriptor of a new file of the agent's, which builds can write by way of the descriptor."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._give(descriptor)
        return descriptor

    def _give(self, descriptor: int) -> None:
        if self._seat.first_user is not None:
            os.fchown(descriptor, self._seat.first_user, self._seat.first_user)

    # -- order

    def _prepare(self, insecure: Iterable[str]) -> None:
        end_processes(self._seat)
        is_private = not self._seat.keeps or (self._files / _NOT_KEPT).exists()
        if is_private:
            self._remove_all()
        self._remove_files()
        self._files.mkdir(mode=0o700)
        self._files.chmod(PASSABLE)
        self._require_mode_bits()
        self._put(_REGISTRIES_CONF, registries_conf(insecure))
        self._put(_NO_AUTH_FILE, auth_file(()))
        if (trusted := self._context.order.registry_access.ca_file) is not None:
            (self._files / _CERTIFICATES).mkdir(mode=0o700)
            (self._files / _CERTIFICATES).chmod(0o755)
            self._put(f"{_CERTIFICATES}/ca.crt", Path(trusted).read_text())
        if not self._seat.keeps:
            self._put(_NOT_KEPT, "")
        self._make_directories()
        if self._seat.keeps and not self._remove_containers():
            # A power cut may leave a storage that buildah does not understand any more.
            self._remove_all()
            self._make_directories()

    def _require_mode_bits(self) -> None:
        """Raise :class:`HostError` where a sandbox forbids what unpacking nearly any image takes."""
        probe = self._files / "probe"
        probe.touch()
        try:
            probe.chmod(0o4700)
        except PermissionError as error:
            raise HostError(
                "This agent may make no file with a set-user-ID bit, and the images of all distributions hold some, so"
                " buildah cannot unpack them.",
                hint="The administrator sets RestrictSUIDSGID=no for launch-agent.service (systemctl edit).",
            ) from error
        finally:
            probe.unlink()

    def _tidy(self) -> None:
        """Remove what the build leaves, however it ended; all of it where the next one is not to have it."""
        end_processes(self._seat)
        if self._seat.keeps:
            self._remove_containers()
        else:
            self._remove_all()
        self._remove_files()

    def _make_directories(self) -> None:
        script = f"mkdir -p {_STORAGE} {_RUN} {_HOME} {_TEMPORARY}"
        if self._seat.first_user is not None:
            script += f" {_SIGNATURES} && echo '{_NO_SIGNATURES}' >{_SIGNATURES}/default.yaml"
        self._launch(("sh", "-c", script), Limits(_QUICK_SECONDS), self._unstopped)

    def _remove_containers(self) -> bool:
        """Remove the containers in which steps ran, and temporary files; return whether that could be done."""
        only = ("-mindepth", "1", "-maxdepth", "1", "!", "-name", _KEPT_TEMPORARY)
        try:
            self._remove("rm", "-rf", _CONTEXT)
            self._remove("find", _TEMPORARY, *only, "-exec", "rm", "-rf", "{}", "+")
            self._launch((*self._tool(), "rm", "--all"), Limits(_QUICK_SECONDS), self._unstopped)
        except ToolFailed:
            return False
        return True

    def _trim(self) -> None:
        """Remove all images, where layers and base images that are kept take more than they may."""
        if not self._seat.keeps:
            return
        with suppress(ToolFailed):
            said = self._launch(("du", "-s", "--block-size=1", _STORAGE), Limits(_QUICK_SECONDS), self._unstopped)
            if int(said.split(maxsplit=1)[0]) > self._config.cache_max_bytes:
                self._launch((*self._tool(), "rmi", "--all", "--force"), Limits(_QUICK_SECONDS), self._unstopped)

    def _remove_all(self) -> None:
        try:
            self._remove("rm", "-rf", _STORAGE, _RUN, _HOME, _TEMPORARY, _CONTEXT)
        except ToolFailed as error:
            raise HostError(f"What a build left in {self._seat.directory} cannot be removed: {error}") from error

    def _remove(self, *command: str) -> None:
        # The files belong to users that only root, or buildah's own namespace, can act as.
        words = command if os.geteuid() == 0 else (TOOL, "unshare", *command)
        self._launch(words, Limits(_QUICK_SECONDS), self._unstopped)

    def _remove_files(self) -> None:
        if self._files.exists() and (problem := remove_tree(self._files)) is not None:
            raise HostError(f"The files of a build in {self._files} cannot be removed: {problem}.")

    # -- processes

    def _launch(
        self,
        command: tuple[str, ...],
        limits: Limits,
        context: JobContext | None = None,
        *,
        keep_open: tuple[int, ...] = (),
    ) -> str:
        descriptors, words = keep_open, command
        if os.geteuid() == 0:
            first, count = (self._seat.first_user or 0), (0 if self._seat.first_user is None else NUMBERS_PER_BUILD)
            program = _program()
            descriptors = (*keep_open, program)
            starter = (interpreter_for_users(), "-I", "-S", "-B", f"/proc/self/fd/{program}", str(first), str(count))
            words = (*starter, *command)
        tool = ToolCommand(
            words,
            self._environment(),
            self._seat.directory,
            limits,
            keep_open=descriptors,
            name=command[0],
        )
        return run_command(context or self._context, tool, self._on_line, self._redact)

    def _environment(self) -> dict[str, str]:
        own = self._seat.directory
        return {
            **process_environment(os.environ, None),
            "HOME": str(own / _HOME),
            "TMPDIR": str(own / _TEMPORARY),
            "XDG_RUNTIME_DIR": str(own / _RUN),
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_REGISTRIES_CONF": str(self._files / _REGISTRIES_CONF),
            # What it is not given by an option, it shall not find.
            "REGISTRY_AUTH_FILE": str(self._files / _NO_AUTH_FILE),
        }


@cache
def _program() -> int:
    # By a descriptor: it starts as root, and the file may be out of the reach of those it becomes.
    return os.open(namespace.__file__, os.O_RDONLY | os.O_CLOEXEC)


def failed(what: str, error: ToolFailed) -> BuildError:
    """Return the error of a job for what buildah could not do, with the last of its own words."""
    complaint = next((line for line in reversed(error.output.splitlines()) if line.lower().startswith("error")), "")
    said = f" It said: {complaint.partition(':')[2].strip().rstrip('.')[:400]}." if ":" in complaint else ""
    return BuildError(
        f"{what}: {error.message}{said}",
        hint=f"All that was said is in {BUILD_LOG_FILE} in the job's directory, on the host that built it.",
        detail=error.output,
    )
