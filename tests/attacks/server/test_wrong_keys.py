"""Trying API keys: who guesses is slowed down, and nobody else at the same address is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from launchd.server.settings import ServerSettings
from launchd.server.store.accounts.api_keys import new_key
from tests.support.server import RunningServer, running_server

BURST = ServerSettings(data_dir=Path()).wrong_key_burst
QUERY = {"query": "{ viewer { entity } }"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as running:
        yield running


def ask(server: RunningServer, key: str) -> requests.Response:
    return requests.post(f"{server.url}/graphql", json=QUERY, auth=("api", key), timeout=20)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_who_tries_keys_is_told_to_wait_and_nobody_else_is(server: RunningServer) -> None:
    with server.api() as api:
        keys = [api.mutate("generateApiKey", "key")["key"] for _ in range(2)]
    known, fresh = keys
    assert ask(server, known).status_code == 200
    mistaken = new_key()
    answers = [ask(server, key) for key in (mistaken, *(new_key() for _ in range(BURST + 3)))]
    codes = [answer.status_code for answer in answers]
    assert codes[:BURST] == [401] * BURST
    assert codes[-1] == 429
    assert 0 < int(answers[-1].headers["Retry-After"]) < 10
    assert "Too many wrong API keys have come from your address" in answers[-1].text

    assert ask(server, known).status_code == 200, "a key that has been right, cached or not"
    assert ask(server, server.key).status_code == 200
    assert ask(server, mistaken).status_code == 401, "one wrong key again and again is no guessing"
    assert ask(server, fresh).status_code == 200, "a right key that has never been used"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_one_wrong_key_is_never_too_many(server: RunningServer) -> None:
    wrong = new_key()
    assert {ask(server, wrong).status_code for _ in range(3 * BURST)} == {401}
    assert ask(server, server.key).status_code == 200
