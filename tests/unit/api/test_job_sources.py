"""Jobs of repositories: what becomes of credentials in an address."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchd.api.job_sources import JobOptions, repository_job
from launchd.client.errors import Refused
from tests.support.git_origin import Origin
from tests.support.http_servers import LocalServer, serving
from tests.unit.workers.test_git_transports import PASSWORD, GitHandler


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")


@pytest.fixture
def git_server(origin: Origin) -> Iterator[str]:
    with serving(LocalServer(type("Handler", (GitHandler,), {"root": origin.path.parent}))) as server:
        yield server.url.removeprefix("http://")


def test_a_token_in_the_address_is_no_part_of_the_job(git_server: str, origin: Origin) -> None:
    commit = origin.commit("text")

    new = repository_job(f"http://ada:{PASSWORD}@{git_server}/origin", "main", JobOptions())

    assert new.job.source.git is not None
    assert (new.job.source.git.remote, new.job.source.git.commit) == (f"http://{git_server}/origin", commit)
    assert PASSWORD not in repr(new)
    assert "ada" not in repr(new)
    assert new.warning


@pytest.mark.parametrize("user", ["ada:wrong-token", "wrong-token"])
def test_nor_of_a_failure(git_server: str, origin: Origin, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    origin.commit("text")
    monkeypatch.setitem(os.environ, "GIT_TERMINAL_PROMPT", "0")

    with pytest.raises(Refused) as failure:
        repository_job(f"http://{user}@{git_server}/origin", "main", JobOptions())

    assert "wrong-token" not in str(failure.value)


def test_an_address_without_any_stays_as_it_is(origin: Origin) -> None:
    origin.commit("text")

    new = repository_job(f"file://{origin.path}", None, JobOptions())

    assert new.job.source.git is not None
    assert (new.job.source.git.remote, new.warning) == (f"file://{origin.path}", None)
