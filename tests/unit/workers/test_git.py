"""Repositories fetched by the real git, from the disk of this host."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ipc.errors import JobCancelled, PolicyRefused, SourceError
from ipc.run_spec import GitSpec
from ipc.settings import PolicyRules
from tests.support.git_origin import Origin
from tests.support.job_contexts import Heard
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


def test_submodules_are_not_followed(origin: Origin, fetch: Callable[..., Path], tmp_path: Path) -> None:
    other = Origin(tmp_path / "other")
    other.commit("of the other")
    origin.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.path), "part")
    origin.commit("with a submodule")

    assert list((fetch("main") / "part").iterdir()) == []


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
