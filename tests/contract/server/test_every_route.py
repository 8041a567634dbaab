"""Every HTTP route beside GraphQL, called without the right to it. A new one needs a row, as in `field_args`."""

import html
from urllib.parse import quote

import pytest
import requests

from launchd.client.file_packs import PACKS_PATH
from launchd.server.app import create_app
from launchd.server.routes.pages import RUN_PATH, SWEEP_PATH
from launchd.server.routes.telemetry import TELEMETRY_PATH
from launchd.server.settings import ServerSettings
from tests.support.accounts import Accounts
from tests.support.field_args import LINKS_ALONE, ROUTES, Reach
from tests.support.server import RunningServer
from tests.support.tenant import Tenant

#: That of packs tells its limits, and each file of a pack by a link of its own (`test_file_packs`).
FOR_EVERYBODY = {"/healthz", "/graphql", RUN_PATH, SWEEP_PATH, TELEMETRY_PATH, PACKS_PATH}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    app = create_app(ServerSettings(data_dir=tmp_path_factory.mktemp("app")))
    app.state.app_state.database.close()
    return {getattr(route, "path", "") for route in app.routes}


def test_every_route_has_a_row(paths: set[str]) -> None:
    assert paths - FOR_EVERYBODY - LINKS_ALONE == set(ROUTES), "see ROUTES in tests/support/field_args.py"


def send(server: RunningServer, key: str | None, reach: Reach, tenant: Tenant) -> requests.Response:
    method, path, body = reach
    with requests.Session() as session:
        session.trust_env = False
        auth = ("api", key) if key else None
        return session.request(method, f"{server.url}{path(tenant)}", json=body, auth=auth, timeout=10)


@pytest.mark.parametrize("path", ROUTES)
def test_a_route_serves_those_who_may(accounts: Accounts, server: RunningServer, path: str) -> None:
    tenant = Tenant(accounts)
    looking = accounts.member(tenant.entity, "VIEWER")[1].mutate("generateApiKey", "key", role="ADMIN")["key"]
    stranger = accounts.user()[1].mutate("generateApiKey", "key")["key"]
    owner = tenant.api.mutate("generateApiKey", "key")["key"]

    may_not = [(None, 401), ("x" * 40, 401), (stranger, 404), (server.key, 404)]
    if ROUTES[path][0] == "GET":
        assert send(server, looking, ROUTES[path], tenant).status_code == 200
    else:
        may_not.append((looking, 404))
    for key, status in may_not:
        answer = send(server, key, ROUTES[path], tenant)
        assert answer.status_code in (status, 403), answer.text
        assert tenant.hidden not in answer.text
    assert send(server, owner, ROUTES[path], tenant).status_code == 200


@pytest.mark.parametrize("path", sorted(LINKS_ALONE))
@pytest.mark.parametrize("token", ["x", "1-1-9999999999-" + "0" * 64, "..%2f..%2fadmin.key", "%00"])
def test_no_link_works_that_the_server_did_not_sign(server: RunningServer, path: str, token: str) -> None:
    address = f"{server.url}{path.replace('{token}', token)}"
    for answer in (requests.get(address, timeout=10), requests.put(address, b"x", timeout=10)):
        assert answer.status_code in (403, 404, 405)


def test_what_clients_tell_of_their_use_is_taken_and_answered_with_nothing(server: RunningServer) -> None:
    for signal in ("metrics", "logs"):
        answer = requests.post(f"{server.url}/sdk/otel/v1/{signal}", b"\x0a\x00", timeout=10)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Type"] == "application/x-protobuf"


def test_the_address_of_a_run_opens_a_page_that_tells_nothing_but_commands(server: RunningServer) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    for kind, words in (("runs", "launchd logs"), ("sweeps", "wandb sweep --stop")):
        answer = requests.get(f"{server.url}/me/{quote(hostile)}/{kind}/no-such", timeout=10)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
        assert words in answer.text
        assert "<img" not in answer.text
        assert server.url in answer.text


def test_a_word_of_an_address_is_quoted_for_the_shell(server: RunningServer) -> None:
    answer = requests.get(f"{server.url}/me/p/runs/{quote('x; rm -rf ~')}", timeout=10)
    assert html.unescape(answer.text).count("launchd logs 'x; rm -rf ~'") == 1
