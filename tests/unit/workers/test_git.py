"""Repositories fetched by the real git, from the disk of this host."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ipc.errors import JobCancelled, PolicyRefused, SourceError
from ipc.messages import WarningRaised
from ipc.policy_rules import PolicyRules
from ipc.run_spec import GitSpec
from tests.support.git_origin import Origin
from tests.support.job_contexts import Heard
from tests.support.parts import missing_part
from workers.context import JobContext, StopSignal
from workers.sources.git import GitSource

ContextMaker = Callable[..., JobContext]


@pytest.fixture
def fetch(make_context: ContextMaker, origin: Origin) -> Callable[..., Path]:
    """Fetch a version of the origin and return where it lies."""

    def do(version: str | None = None, url: str | None = None) -> Path:
        context = make_context(
            spec={"git": GitSpec(url or str(origin.path), version)}, policy=PolicyRules(allow_local_git=True)
        )
        project = GitSource().fetch(context)
        assert project.entry_point == ("python", "main.py")
        return project.directory

    return do


def content(directory: Path) -> str:
    return (directory / "main.py").read_text()


def test_a_branch(origin: Origin, fetch: Callable[..., Path]) -> None:
    origin.commit("on main")
    origin.git("checkout", "--quiet", "-b", "topic/one")
    origin.commit("on topic")
    origin.git("checkout", "--quiet", "main")

    assert content(fetch("topic/one")) == "on topic"


@pytest.mark.parametrize("options", [(), ("--annotate", "--message", "release")])
def test_a_tag(options: tuple[str, ...], origin: Origin, fetch: Callable[..., Path]) -> None:
    origin.commit("tagged")
    origin.git("tag", *options, "v1")
    origin.commit("later")

    assert content(fetch("v1")) == "tagged"


def test_a_branch_comes_before_a_tag_of_its_name(origin: Origin, fetch: Callable[..., Path]) -> None:
    origin.commit("tagged")
    origin.git("tag", "both")
    origin.git("checkout", "--quiet", "-b", "both")
    origin.commit("on the branch")

    assert content(fetch("both")) == "on the branch"


@pytest.mark.parametrize("length", [40, 12, 7])
def test_a_commit_whole_or_abbreviated(length: int, origin: Origin, fetch: Callable[..., Path]) -> None:
    origin.commit("first")
    commit = origin.commit("second")
    origin.commit("third")

    directory = fetch(commit[:length])

    assert content(directory) == "second"
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=directory, check=True, capture_output=True, text=True)
    assert head.stdout.strip() == commit


def test_a_commit_that_the_server_does_not_give_out_alone(origin: Origin, fetch: Callable[..., Path]) -> None:
    # Protocol version 0 gives out the ends of branches only.
    origin.git("config", "protocol.version", "0")
    origin.git("config", "uploadpack.allowAnySHA1InWant", "false")
    commit = origin.commit("first")
    origin.commit("second")

    assert content(fetch(commit)) == "first"


@pytest.mark.parametrize("branch", ["main", "master", "trunk"])
def test_without_a_version_the_main_branch(branch: str, origin: Origin, fetch: Callable[..., Path]) -> None:
    origin.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    origin.commit("on the main branch")
    if branch != "trunk":
        origin.git("checkout", "--quiet", "-b", "other")
        origin.commit("elsewhere")

    assert content(fetch()) == "on the main branch"


def test_only_what_is_needed_is_fetched(origin: Origin, fetch: Callable[..., Path]) -> None:
    for number in range(5):
        origin.commit(f"number {number}")

    log = subprocess.run(["git", "log", "--oneline"], cwd=fetch("main"), check=True, capture_output=True, text=True)

    assert len(log.stdout.splitlines()) == 1


def test_an_unknown_version_is_named(origin: Origin, fetch: Callable[..., Path]) -> None:
    origin.commit("first")

    with pytest.raises(SourceError, match="has no branch, tag or commit no-such-thing"):
        fetch("no-such-thing")


def test_an_unknown_commit_is_named(origin: Origin, fetch: Callable[..., Path]) -> None:
    origin.commit("first")

    with pytest.raises(SourceError, match="has no branch, tag or commit deadbeef"):
        fetch("deadbeef")


@pytest.mark.parametrize("version", ["--upload-pack=touch ran", "-b", "a..b", "a b", "HEAD~1", ""])
def test_a_version_that_cannot_be_one_is_refused(version: str, origin: Origin, fetch: Callable[..., Path]) -> None:
    origin.commit("first")

    with pytest.raises(SourceError, match="is not a branch, tag or commit"):
        fetch(version)


def test_an_empty_repository_is_called_that(fetch: Callable[..., Path]) -> None:
    with pytest.raises(SourceError, match="is empty"):
        fetch()


def test_a_repository_that_does_not_exist_is_named(fetch: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere could not be fetched: .+") as failure:
        fetch("main", str(tmp_path / "nowhere"))

    assert failure.value.hint
    assert "fatal" in (failure.value.detail or "")


def test_a_failure_of_ssh_is_told_in_its_own_words(
    make_context: ContextMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ada@localhost: Permission denied (publickey).' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))

    with pytest.raises(SourceError, match=r"fetched: .+ \(ada@localhost: Permission denied \(publickey\)\)\.$"):
        GitSource().fetch(make_context(spec={"git": GitSpec("ssh://ada@localhost/code", "main")}))


def test_a_url_with_a_dash_never_reaches_git(fetch: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not the URL of a git repository"):
        fetch("main", f"--upload-pack=touch {tmp_path}/ran")

    assert not (tmp_path / "ran").exists()


def test_a_path_needs_the_policys_leave(make_context: ContextMaker, origin: Origin) -> None:
    context = make_context(spec={"git": GitSpec(str(origin.path), "main")})

    with pytest.raises(PolicyRefused):
        GitSource().fetch(context)


def add_submodule(origin: Origin, other: str, path: str) -> None:
    origin.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other, path)
    origin.commit(f"with {path}")


@pytest.mark.parametrize("relative", [False, True])
def test_submodules_are_followed(origin: Origin, fetch: Callable[..., Path], tmp_path: Path, relative: bool) -> None:
    inner, other = Origin(tmp_path / "inner"), Origin(tmp_path / "other")
    inner.commit("of the innermost")
    add_submodule(other, str(inner.path), "deeper")
    other.commit("of the other")
    origin.git("remote", "add", "origin", str(origin.path))
    add_submodule(origin, "../other" if relative else str(other.path), "part")
    other.commit("of the other, later")

    directory = fetch("main")

    assert content(directory / "part") == "of the other"
    assert content(directory / "part" / "deeper") == "of the innermost"


def test_submodules_that_the_policy_leaves_out_are_named(
    origin: Origin, make_context: ContextMaker, tmp_path: Path, heard: Heard
) -> None:
    other = Origin(tmp_path / "other")
    other.commit("of the other")
    add_submodule(origin, str(other.path), "part")
    rules = PolicyRules(allow_local_git=True, git_submodules=False)
    context = make_context(spec={"git": GitSpec(str(origin.path), "main")}, policy=rules)

    assert list((GitSource().fetch(context).directory / "part").iterdir()) == []
    assert any(isinstance(event, WarningRaised) and "part are empty" in event.message for event in heard)


def test_a_submodule_by_a_transport_that_is_not_granted_is_a_sentence(
    origin: Origin, fetch: Callable[..., Path]
) -> None:
    (origin.path / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = http://git.example/x\n')
    origin.commit("first")
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{origin.git('rev-parse', 'HEAD')},x")
    origin.git("commit", "--quiet", "--message", "with a link to x")

    with pytest.raises(SourceError, match=r"The submodules of .* could not be fetched: .*'http' not allowed"):
        fetch("main")


def test_tags_are_there_where_a_version_is_derived_from_them(origin: Origin, fetch: Callable[..., Path]) -> None:
    (origin.path / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools-scm>=8"]\n')
    origin.commit("first")
    origin.git("tag", "v1.4.0")
    origin.commit("second")

    def described(directory: Path) -> str:
        return subprocess.check_output(["git", "describe", "--tags"], cwd=directory, text=True).strip()

    assert described(fetch("v1.4.0")) == "v1.4.0"
    assert described(fetch_again(origin, fetch)).startswith("v1.4.0-1-g")


def fetch_again(origin: Origin, fetch: Callable[..., Path]) -> Path:
    directory = origin.path.parent / "jobs"
    shutil.rmtree(directory)
    return fetch("main")


def test_files_in_git_lfs(origin: Origin, fetch: Callable[..., Path]) -> None:
    if shutil.which("git-lfs") is None:
        missing_part("git-lfs is not installed here (Debian: apt-get install git-lfs)")
    origin.git("lfs", "install", "--local")
    origin.git("lfs", "track", "*.bin")
    (origin.path / "model.bin").write_bytes(b"weights" * 100)
    origin.commit("with a large file")

    assert (fetch("main") / "model.bin").read_bytes() == b"weights" * 100


def test_files_in_git_lfs_without_the_tool_are_a_warning(
    origin: Origin, fetch: Callable[..., Path], heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.sources.git.shutil.which", lambda _: None)
    (origin.path / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    origin.commit("as a client without it would")

    fetch("main")

    assert any(isinstance(event, WarningRaised) and "has no git-lfs" in event.message for event in heard)


def test_credentials_show_nowhere(make_context: ContextMaker, heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    context = make_context(spec={"git": GitSpec("https://ada:hunter2@localhost:1/code", "main")})

    with pytest.raises(SourceError) as failure:
        GitSource().fetch(context)

    assert "https://localhost:1/code" in failure.value.message
    records = [str(vars(record)) for record in caplog.records]
    for text in (failure.value.message, failure.value.detail or "", *heard.progress(), *records):
        assert "hunter2" not in text
    assert [path.name for path in context.directory.iterdir()] == ["work"]


def test_what_remains_names_the_origin_without_credentials(origin: Origin, fetch: Callable[..., Path]) -> None:
    origin.commit("first")

    url = subprocess.run(
        ["git", "remote", "get-url", "origin"], cwd=fetch("main"), check=True, capture_output=True, text=True
    )

    assert url.stdout.strip() == str(origin.path)


def test_a_stop_ends_the_fetch(make_context: ContextMaker, origin: Origin) -> None:
    origin.commit("first")
    context = make_context(spec={"git": GitSpec(str(origin.path), "main")}, policy=PolicyRules(allow_local_git=True))
    context.interrupt(StopSignal("because I say so", 1.0))

    with pytest.raises(JobCancelled):
        GitSource().fetch(context)
