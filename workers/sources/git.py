"""A git repository at a branch, tag or commit.

As little history as possible is fetched, no password is ever asked for, and only the transports of this host's policy
work, also for submodules.
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from ipc.errors import SourceError
from ipc.messages import shorten
from ipc.proxies import proxy_secrets
from ipc.run_spec import GitSpec
from workers.confined.credentials import HOME_DIRECTORY, are_lent
from workers.context import JobContext
from workers.git_environment import SSH_OPTIONS, git_settings, own_credentials
from workers.process_environment import process_environment
from workers.sources import DEFAULT_ENTRY_POINT, Project
from workers.sources.derived_version import derives_version
from workers.sources.git_url import Repository, parse_repository
from workers.subprocess_runner import Limits, ToolCommand, ToolFailed, run_command

#: Without a version, the first of these that exists: W&B's order, and then what the repository itself prefers.
_DEFAULT_REFS = ("refs/heads/main", "refs/heads/master", "HEAD")
_COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")
_WHOLE_COMMIT = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
_ADVERTISED = re.compile(r"^[0-9a-f]{40,64}\t(\S+)$", re.MULTILINE)
_NO_VERSION = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|^-|^$")
_HINT_LENT = "See that the URL is right and that this host may read it (credential helper or ssh key)."
_HINT_NOT_LENT = (
    "See that the URL is right. This host lends its git credentials to no submitter "
    "(launchd.policy.git_credentials): a repository that is not public needs its own in the URL."
)
#: Where the host's credentials are not lent, ssh has no key, also of an agent of keys.
_NO_SSH_KEYS = ("-F none", "-o IdentityFile=none", "-o IdentityAgent=none")
_SILENT_SECONDS = 300.0
_NAMES_BYTES = 600
_SETTINGS_FILE = ".git-settings"
#: In the home directory of a fetch user, in place of its own.
_FETCH_SETTINGS_FILE = ".git-settings"
_USERS_FILE = ".users"
_SUBMODULES_FILE = ".gitmodules"
_SUBMODULE_SETTINGS_FILE = ".git-submodules"
_SUBMODULE_SETTINGS = "[core]\n    hooksPath = /dev/null\n[gc]\n    auto = 0\n[advice]\n    detachedHead = false\n"
_LARGE_FILES_TOOL = "git-lfs"
_LARGE_FILES = """\
[filter "lfs"]
    smudge = git-lfs smudge -- %f
    clean = git-lfs clean -- %f
    process = git-lfs filter-process
    required = true
"""

#: So git's own last words begin. What stands before them, but for its progress, is ssh's or the server's.
_OF_GIT = ("fatal: ", "error: ")


class GitSource:
    """Fetches a repository into the job's working directory."""

    def fetch(self, context: JobContext) -> Project:
        """Check the wanted version out; the suggested command is W&B's ``python main.py``.

        Raises:
            SourceError: repository or version cannot be had.
            PolicyRefused: this host's policy does not grant the URL.
            JobCancelled: the job was stopped meanwhile.
        """
        fetch_repository(context, context.order.spec.git)
        return Project(context.work, DEFAULT_ENTRY_POINT)


def fetch_repository(context: JobContext, wanted: GitSpec, patch: Path | None = None) -> None:
    """Check the wanted version out into the job's working directory, and apply a patch to it where there is one.

    Raises:
        SourceError: repository or version cannot be had, or the patch does not fit.
        PolicyRefused: this host's policy does not grant the URL.
        JobCancelled: the job was stopped meanwhile.
    """
    repository = parse_repository(wanted.repo or "", context.order.policy)
    with _opened(context, repository) as git:
        git.run("init", "--quiet", "--template=", ".")
        _check_out(git, repository, wanted.version)
        if derives_version(context.work):
            git.fetch_history()
        if patch is not None:
            git.apply(patch)
        _note_large_files(context, git)
    # For the job's own use (W&B's SDK notes it with the run), and so without credentials.
    git.run("remote", "add", "--", "origin", repository.shown)
    _follow_submodules(context, git)


class _Git:
    """Git in the job's working directory."""

    def __init__(self, context: JobContext, repository: Repository, settings: Path) -> None:
        self._context = context
        self._repository = repository
        self._settings = settings
        self._environment = _git_environment(context, os.environ)
        self._limits = Limits(
            context.order.supervision.fetch_timeout_seconds,
            _SILENT_SECONDS,
            total_key="launchd.supervision.fetch_timeout_seconds",
        )

    def run(self, *arguments: str) -> str:
        """Run one git command and return what it wrote; raises :class:`SourceError`."""
        try:
            return self._run(*arguments)
        except ToolFailed as error:
            raise SourceError(
                f"The repository {self._repository.shown} could not be fetched: {_last_word(error)}",
                hint=_HINT_LENT if are_lent(self._context.order) else _HINT_NOT_LENT,
                detail=error.output,
            ) from error

    def advertised(self, refs: Sequence[str]) -> set[str]:
        """Return which of ``refs`` the repository has."""
        return set(_ADVERTISED.findall(self.run("ls-remote", "--quiet", "origin", *refs)))

    def fetch_one(self, ref: str) -> None:
        """Fetch one ref or commit without its history."""
        self.run("fetch", "--depth=1", "--no-tags", "--progress", "origin", ref)

    def try_fetch_one(self, commit: str) -> bool:
        """Fetch one commit without its history; return whether the server gave it out."""
        return self._succeeds("fetch", "--depth=1", "--no-tags", "--progress", "origin", commit)

    def fetch_history(self) -> None:
        """Fetch what leads to what was fetched, with all tags."""
        is_whole = self.run("rev-parse", "--is-shallow-repository").strip() == "false"
        self.run("fetch", "--tags", "--progress", *(() if is_whole else ("--unshallow",)), "origin")

    def has_large_files(self) -> bool:
        """Return whether files of this commit are kept in Git LFS, as its topmost attributes say at least in part."""
        is_told = os.path.lexists(self._context.work / ".gitattributes")
        return is_told and self._succeeds(
            "grep", "--quiet", "-I", "filter=lfs", "HEAD", "--", "*.gitattributes", ".gitattributes"
        )

    def submodules(self) -> list[str]:
        """Return the paths of the submodules."""
        if not (self._context.work / _SUBMODULES_FILE).is_file():
            return []
        listed = self.run("config", "--file", _SUBMODULES_FILE, "--get-regexp", r"^submodule\..*\.path$")
        return [line.partition(" ")[2] for line in listed.splitlines()]

    def update_submodules(self) -> None:
        """Check all submodules out, and theirs; raises :class:`SourceError`."""
        with _submodule_settings(self._context, self._repository) as settings:
            system = {"GIT_CONFIG_SYSTEM": str(settings), "GIT_CONFIG_NOSYSTEM": "0"}
            update = ("git", "submodule", "--quiet", "update", "--init", "--recursive", "--progress")
            try:
                # A server may give out the tips of branches alone.
                with suppress(ToolFailed):
                    self._run_tool((*update, "--depth=1"), system)
                    return
                self._run_tool(update, system)
            except ToolFailed as error:
                raise SourceError(
                    f"The submodules of {self._repository.shown} could not be fetched: {_last_word(error, 0)}",
                    hint="See that this host may read them; launchd.policy.git_submodules leaves them out.",
                    detail=error.output,
                ) from error

    def fetch_all(self) -> None:
        """Fetch all branches and tags with their whole history."""
        self.run("fetch", "--tags", "--progress", "origin", "+refs/heads/*:refs/remotes/origin/*")

    def knows(self, commit: str) -> bool:
        """Return whether ``commit`` names one commit that was fetched."""
        return self._succeeds("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}")

    def check_out(self, commit: str) -> None:
        """Put the files of ``commit`` into the working directory."""
        self.run("checkout", "--quiet", "--detach", commit)

    def apply(self, patch: Path) -> None:
        """Change the files as a patch says; raises :class:`SourceError`. Git keeps it inside the working directory."""
        try:
            self._run("apply", "--whitespace=nowarn", str(patch.absolute()))
        except ToolFailed as error:
            raise SourceError(
                f"The job's changes do not fit the repository {self._repository.shown}: {_last_word(error)}",
                hint="Commit them and make the job again.",
                detail=error.output,
            ) from error

    def _succeeds(self, *arguments: str) -> bool:
        try:
            self._run(*arguments)
        except ToolFailed:
            return False
        return True

    def _run(self, *arguments: str) -> str:
        return self._run_tool(("git", "-c", f"include.path={self._settings}", *arguments), {})

    def _run_tool(self, words: tuple[str, ...], environment: Mapping[str, str]) -> str:
        command = ToolCommand(words, {**self._environment, **environment}, self._context.work, self._limits)
        return run_command(self._context, command, self._context.progress, self._redact)

    def _redact(self, text: str) -> str:
        for secret in proxy_secrets(self._environment):
            text = text.replace(secret, "***")
        return self._repository.redact(text)


@contextmanager
def _opened(context: JobContext, repository: Repository) -> Iterator[_Git]:
    """Yield git with its settings in a file: a URL in the arguments would show its password to all users."""
    settings = context.directory / _SETTINGS_FILE
    try:
        descriptor = os.open(settings, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(_settings_text(repository.url))
        yield _Git(context, repository, settings)
    except OSError as error:
        raise SourceError(f"The job's directory cannot be written to: {error.strerror}.") from error
    finally:
        settings.unlink(missing_ok=True)


@contextmanager
def _submodule_settings(context: JobContext, repository: Repository) -> Iterator[Path]:
    """Yield a file of settings for git in submodules, which knows no arguments of the git above.

    It has the credentials of the repository for others on the same host; what gets into the working tree has none.
    """
    path = context.directory / _SUBMODULE_SETTINGS_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_SUBMODULE_SETTINGS)
        if are_lent(context.order):
            file.write("[include]\n    path = /etc/gitconfig\n")
        if repository.secrets:
            given, shown = (
                urlsplit(url)._replace(path="/", query="", fragment="").geturl()
                for url in (repository.url, repository.shown)
            )
            file.write(f'[url "{_quoted(given)}"]\n    insteadOf = "{_quoted(shown)}"\n')
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _settings_text(url: str) -> str:
    filters = _LARGE_FILES if shutil.which(_LARGE_FILES_TOOL) else ""
    return f"""\
{filters}[remote "origin"]
    url = "{_quoted(url)}"
[core]
    hooksPath = /dev/null
[submodule]
    recurse = false
[fetch]
    recurseSubmodules = false
[gc]
    auto = 0
[advice]
    detachedHead = false
"""


def _git_environment(context: JobContext, worker: Mapping[str, str]) -> dict[str, str]:
    order = context.order
    return {
        # No process of a job's user can read the environment of these, and no code of a submitter runs in them.
        **process_environment(worker, order.fetch_user, proxy_passwords=True),
        **git_settings(order.policy, worker),
        **_credentials_environment(context, worker),
        "LC_ALL": "C.UTF-8",
    }


def _credentials_environment(context: JobContext, worker: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which git and ssh find the host's credentials, or find none."""
    home = context.directory / HOME_DIRECTORY
    is_lent = are_lent(context.order)
    if is_lent and context.order.fetch_user is None:
        return own_credentials(worker)
    settings = home / _FETCH_SETTINGS_FILE
    settings.write_text(_fetch_settings(context, home if is_lent else None))
    ssh = "ssh" if context.order.fetch_user is None else _with_password_entry(home)
    ssh = " ".join((ssh, SSH_OPTIONS, *(() if is_lent else _NO_SSH_KEYS)))
    return {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(settings),
        "GIT_CONFIG_NOSYSTEM": "0" if is_lent else "1",
        "GIT_SSH_COMMAND": ssh,
    }


def _fetch_settings(context: JobContext, home: Path | None) -> str:
    """Return git's settings for whom a source is fetched as; ``home`` has copies of the host's, None for none."""
    own = [f'[include]\n    path = "{home / name}"\n' for name in (".config/git/config", ".gitconfig")] if home else []
    if context.order.policy.allow_local_git:
        # They belong to others; what that could do, it does as the fetch user.
        own.append("[safe]\n    directory = *\n")
    return "".join(own)


def _with_password_entry(home: Path) -> str:
    """Return a command that starts ssh for a number, in whose password entry ``home`` is the home directory.

    ssh starts for no user without an entry, and looks for keys and settings in that directory alone. In namespaces of
    its own it is called root, and has a list of users of its own.
    """
    entries = home / _USERS_FILE
    entries.write_text(f"root:x:0:0::{home}:/bin/sh\n")
    unshare = ("unshare", "--user", "--map-root-user", "--mount", "--")
    return shlex.join((*unshare, "sh", "-c", 'mount --bind "$0" /etc/passwd && exec ssh "$@"', str(entries)))


def _last_word(error: ToolFailed, which: int = -1) -> str:
    """Return git's own last sentence, after what ssh or the server wrote, or how it ended.

    ``which`` is the number of another: where git starts git, the first one has the reason.
    """
    lines = error.output.splitlines()
    said = [number for number, line in enumerate(lines) if line.startswith(_OF_GIT)]
    if not said:
        return error.message
    words = lines[said[which]].partition(": ")[2].rstrip(".")
    before = lines[said[which] - 1] if said[which] > 0 else ""
    is_reason = before and not before.startswith(_OF_GIT) and "%" not in before
    return f"{words} ({before.rstrip('.')})." if is_reason else f"{words}."


def _note_large_files(context: JobContext, git: _Git) -> None:
    if git.has_large_files() and not shutil.which(_LARGE_FILES_TOOL):
        context.warn(
            "Files of the repository are kept in Git LFS, and are not there: this host has no git-lfs.", "agent"
        )


def _follow_submodules(context: JobContext, git: _Git) -> None:
    paths = git.submodules()
    if paths and context.order.policy.git_submodules:
        git.update_submodules()
    elif paths:
        names = shorten(", ".join(paths), _NAMES_BYTES)
        context.warn(f"This host follows no submodules (launchd.policy.git_submodules): {names} are empty.", "agent")


def _check_out(git: _Git, repository: Repository, version: str | None) -> None:
    if version is not None and _NO_VERSION.search(version):
        raise SourceError(f"{version!r} is not a branch, tag or commit.", hint="Name one of the repository's.")
    candidates = _DEFAULT_REFS if version is None else (f"refs/heads/{version}", f"refs/tags/{version}", version)
    advertised = git.advertised(candidates)
    ref = next(filter(advertised.__contains__, candidates), None)
    if ref is not None:
        # Kept under its name, so that the project finds what version it is.
        git.fetch_one(f"+{ref}:{ref}" if ref.startswith("refs/tags/") else ref)
        git.check_out("FETCH_HEAD")
    elif version is not None and _COMMIT.fullmatch(version):
        _check_out_commit(git, repository, version)
    else:
        raise _no_such_version(repository, version)


def _check_out_commit(git: _Git, repository: Repository, commit: str) -> None:
    if _WHOLE_COMMIT.fullmatch(commit) and git.try_fetch_one(commit):
        git.check_out("FETCH_HEAD")
        return
    # An abbreviated commit, or a server that gives out branches and tags alone: the whole history is needed.
    git.fetch_all()
    if not git.knows(commit):
        raise _no_such_version(repository, commit)
    git.check_out(commit)


def _no_such_version(repository: Repository, version: str | None) -> SourceError:
    if version is None:
        return SourceError(f"The repository {repository.shown} is empty.", hint="Push a branch to it first.")
    return SourceError(
        f"The repository {repository.shown} has no branch, tag or commit {version}.",
        hint="See that it is spelled right and was pushed.",
    )
