"""The quota of stored files, and garbage collection of unreferenced ones."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.artifacts import Logging, collect, content, delete, downloaded, files_of
from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name, running_server
from tests.support.waiting import wait_until

ROOM = 400_000


@pytest.fixture(scope="module")
def small(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    """A server with a small quota, which collects at once when asked."""
    options = ("--max-store-bytes", str(ROOM), "--gc-pause-seconds", "0", "--keep-items-seconds", "0")
    with running_server(tmp_path_factory.mktemp("small"), *options) as server:
        yield server


@pytest.fixture
def api(small: RunningServer) -> Iterator[Api]:
    with small.api() as client:
        yield client


def test_files_of_what_is_deleted_go_and_shared_ones_stay(api: Api, small: RunningServer) -> None:
    shared, own = content(), content()
    one = Logging(api, {"shared": shared, "own": own}).log()
    two = Logging(api, {"shared": shared}).log()
    collect(api)
    before = files_of(small)
    delete(api, one)
    assert files_of(small) == before
    assert collect(api)["removedFiles"] == 2, "its own file and its manifest"
    assert len(files_of(small)) == len(before) - 2
    assert downloaded(two) == {"shared": shared}
    delete(api, two)
    collect(api)
    with pytest.raises(RefusedByServer, match="is deleted"):
        api.mutate("updateArtifact", "artifact { id }", artifactID=two.id, description="x")


def test_files_of_a_deleted_run_go(api: Api, small: RunningServer) -> None:
    run = ClientRun(api)
    run.upload("a.txt", content())
    collect(api)
    before = files_of(small)
    api.mutate("deleteRun", "clientMutationId", id=run.id)
    assert collect(api)["removedFiles"] == 1
    assert len(files_of(small)) == len(before) - 1


def test_items_that_ended_long_ago_go(api: Api) -> None:
    queue = fresh_name("queue")
    agent = api.create_agent(api.create_queue(queue))
    ended, waiting = (api.push(queue) for _ in range(2))
    assert api.claim(agent, "c") == [ended]
    assert api.ack(agent, ended) == [True]
    api.report(agent, ended, 1, "finished")
    collect(api)
    assert api.item(ended) is None
    assert api.state(waiting) == "PENDING"


def test_a_version_goes_when_its_time_is_over(api: Api) -> None:
    name = fresh_name("short")
    stays = Logging(api, {"a": content()}, name=name).log()
    goes = Logging(api, {"a": content()}, name=name, ttlDurationSeconds=1).log()

    def is_gone() -> bool:
        collect(api)
        return goes.look("state") == {"state": "DELETED"}

    wait_until(is_gone, what="the end of a version")
    assert stays.look("state aliases { alias }") == {
        "state": "COMMITTED",
        "aliases": [{"alias": "latest"}, {"alias": "v0"}],
    }


def test_a_version_lives_as_long_as_it_is_linked(api: Api) -> None:
    names = {"entityName": "me", "projectName": "proj1", "artifactPortfolioName": fresh_name("links")}
    linked, free = (Logging(api, {"a": content()}, ttlDurationSeconds=1).log() for _ in range(2))
    made = api.mutate("linkArtifact", "artifactMembership { artifactCollection { id } }", artifactID=linked.id, **names)
    portfolio_id = made["artifactMembership"]["artifactCollection"]["id"]

    def is_gone(version: Logging) -> bool:
        collect(api)
        return version.look("state") == {"state": "DELETED"}

    wait_until(lambda: is_gone(free), what="the end of a version")
    assert not is_gone(linked), "its time was over before"
    api.mutate("unlinkArtifact", "success", artifactID=linked.id, artifactPortfolioID=portfolio_id)
    assert is_gone(linked)


def test_only_an_administrator_collects(small: RunningServer, api: Api) -> None:
    key = api.mutate("createUser", "key", email="x@example.org", username=fresh_name("user"))["key"]
    other = Api(small.url, key)
    with pytest.raises(RefusedByServer, match="Only an administrator"):
        collect(other)
    other.close()


def test_there_is_no_more_room_than_was_given(api: Api, small: RunningServer) -> None:
    collect(api)
    logged = [Logging(api, {"a": content(ROOM // 3)}) for _ in range(6)]
    links = [str(each.announce()[0]["uploadUrl"]) for each in logged]
    answers: list[requests.Response] = []

    def put(link: str, each: Logging) -> None:
        answers.append(requests.put(link, each.files["a"], timeout=60))

    threads = [threading.Thread(target=put, args=pair) for pair in zip(links, logged, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer.json()["errors"][0]["message"] for answer in answers if answer.status_code == 400]
    assert sorted({answer.status_code for answer in answers}) == [200, 400]
    assert all("The queue server's store is full" in message and "Delete artifacts" in message for message in refused)
    assert sum(path.stat().st_size for path in files_of(small)) <= ROOM
    for each in logged:
        delete(api, each)
    collect(api)
    last = Logging(api, {"a": content(ROOM // 2)}).log()
    delete(api, last)
    collect(api)


def test_an_upload_that_announces_less_than_it_sends_is_refused(api: Api, small: RunningServer) -> None:
    data = content()
    logged = Logging(api, {"a": data})
    before = files_of(small)
    url = urlsplit(str(logged.announce()[0]["uploadUrl"]))
    with socket.create_connection((str(url.hostname), url.port or 80), timeout=10) as connection:
        head = f"PUT {url.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data) - 1}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + data)
        assert b" 400 " in connection.makefile("rb").readline()
    assert files_of(small) == before


def test_unfinished_artifacts_go(tmp_path: Path) -> None:
    options = ("--abandoned-seconds", "0", "--gc-pause-seconds", "0")
    with running_server(tmp_path, *options) as server, server.api() as api:
        logged = Logging(api, {"a": content()})
        link = str(logged.announce()[0]["uploadUrl"])
        assert requests.put(link, logged.files["a"], timeout=60).ok
        kept = Logging(api, {"b": content()}).log()
        collect(api)
        assert (logged.look("state"), kept.look("state")) == ({"state": "DELETED"}, {"state": "COMMITTED"})
        assert requests.put(link, logged.files["a"], timeout=60).status_code == 404
        with pytest.raises(RefusedByServer, match="is DELETED"):
            logged.announce()
        collect(api)
        assert downloaded(kept) == kept.files
        assert len(files_of(server)) == 2


def test_it_collects_by_itself(tmp_path: Path) -> None:
    options = ("--gc-interval-seconds", "0.1", "--gc-pause-seconds", "0")
    with running_server(tmp_path, *options) as server, server.api() as api:
        delete(api, Logging(api, {"a": content()}).log())
        wait_until(lambda: not files_of(server), what="the removal of all files")


def test_what_a_killed_upload_left_is_removed(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        with server.api() as api:
            url = urlsplit(str(Logging(api, {"a": b"z" * 3_000_000}).announce()[0]["uploadUrl"]))
        connection = http.client.HTTPConnection(str(url.hostname), url.port)
        connection.putrequest("PUT", url.path)
        connection.putheader("Content-Length", "3000000")
        connection.endheaders(b"z" * 2_000_000)
        wait_until(lambda: bool(files_of(server)), what="the first bytes")
        server.restart()
        connection.close()
        assert files_of(server) == set()


@pytest.mark.dialect
def test_garbage_collection_takes_nothing_from_running_uploads(tmp_path: Path) -> None:
    """The same few contents are logged, deleted and collected at once, and the server dies again and again."""
    contents = [content() for _ in range(4)]
    with running_server(tmp_path, "--gc-pause-seconds", "0.05") as server:
        over = threading.Event()

        def keep_collecting() -> None:
            with server.api() as api:
                while not over.is_set():
                    with suppress(requests.RequestException, RefusedByServer, ValueError):
                        collect(api)

        collecting = threading.Thread(target=keep_collecting)
        collecting.start()
        try:
            for turn in range(8):
                with server.api() as api:
                    made = [Logging(api, {"a": data, "b": contents[turn % 4]}).log() for data in contents]
                    assert [downloaded(each) for each in made] == [each.files for each in made]
                    for each in made:
                        delete(api, each)
                if turn % 4 == 3:
                    server.restart()
        finally:
            over.set()
            collecting.join()
        with server.api() as api:
            collect(api)
        assert files_of(server) == set()
