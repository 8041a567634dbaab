"""`launchd job delete` at a queue server."""

import json

import pytest

from tests.support.server import RunningServer, fresh_name
from tests.unit.cli.conftest import Launchd


@pytest.fixture
def job(at_server: Launchd) -> str:
    """A job with the versions v0 and v1, of which v1 has the alias `best`, too."""
    name = fresh_name("job")
    for image in ("image:1", "image:2"):
        alias = ("-a", "best") if image == "image:2" else ()
        assert at_server("job", "create", "image", image, "-n", name, *alias).exit_code == 0
    return name


def versions(at_server: Launchd, name: str) -> list[str]:
    lines = at_server("job", "list").stdout.splitlines()
    return [line.split()[1] for line in lines if line.split()[0] == name]


def test_a_version_and_then_the_whole_job_are_deleted(at_server: Launchd, job: str) -> None:
    asked = at_server("job", "delete", job)
    assert f"Delete job '{job}' in project 'uncategorized' of 'me' with 2 versions?" in asked.output
    assert sorted(versions(at_server, job)) == ["v0", "v1"]

    one = at_server("job", "delete", f"{job}:best", "--yes")
    assert one.output == f"Version v1 of job '{job}' was deleted.\n"
    assert versions(at_server, job) == ["v0"]

    assert at_server("job", "delete", f"me/uncategorized/{job}", "--yes").output == f"Job '{job}' was deleted.\n"
    assert versions(at_server, job) == []
    gone = at_server("job", "delete", job, "--yes")
    assert gone.stderr == f"Error: There is no job '{job}' in project 'uncategorized' of 'me'.\n"


def test_what_waits_keeps_the_version_that_it_names(at_server: Launchd, server: RunningServer, job: str) -> None:
    queue = fresh_name("queue")
    with server.api() as api:
        api.create_queue(queue)
        item = api.push(queue, {"project": "p", "job": f"me/uncategorized/{job}:latest"})

        whole, newest = at_server("job", "delete", job, "--yes"), at_server("job", "delete", f"{job}:v1", "--yes")

        assert (
            whole.stderr
            == f"Error: Items that have not ended name job '{job}': {item}. Stop them, or wait for their end.\n"
        )
        assert f"name version v1 of job '{job}': {item}." in newest.stderr
        assert at_server("job", "delete", f"{job}:v0", "--yes").exit_code == 0
        assert json.loads(at_server("queue", "show", queue, "--json").stdout)["items"][0]["state"] == "PENDING"
        api.mutate("stopRunQueueItem", "success", runQueueItemId=item)
        assert at_server("job", "delete", job, "--yes").exit_code == 0


def test_a_version_that_is_not_there(at_server: Launchd, job: str) -> None:
    answer = at_server("job", "delete", f"{job}:v7", "--yes")

    assert answer.stderr == f"Error: Job '{job}' has no version 'v7'.\n"
