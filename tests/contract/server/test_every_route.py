"""Every HTTP route beside GraphQL, called without the right to it. A new one needs a row, as in `field_args`."""

import contextlib
import hashlib
import http.client
import re
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from launchd.client.file_packs import PACKS_PATH
from launchd.server.app import create_app
from launchd.server.routes import pages
from launchd.server.routes.pages import PAGE_PATHS, WEB_PATH
from launchd.server.routes.telemetry import TELEMETRY_PATH
from launchd.server.settings import ServerSettings
from tests.support.accounts import Accounts
from tests.support.field_args import LINKS_ALONE, ROUTES, Reach
from tests.support.server import RunningServer
from tests.support.tenant import Tenant

#: That of packs tells its limits, and each file of a pack by a link of its own (`test_file_packs`).
FOR_EVERYBODY = {"/healthz", "/graphql", WEB_PATH, *PAGE_PATHS, TELEMETRY_PATH, PACKS_PATH}


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


@pytest.mark.parametrize("path", ["/", "/me/launch", "/me/launch/x", f"/me/{quote('<img src=x>')}/runs/no-such"])
def test_every_page_is_one_document_that_loads_nothing_from_elsewhere(server: RunningServer, path: str) -> None:
    answer = requests.get(f"{server.url}{path}", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.text == requests.get(f"{server.url}/", timeout=10).text


def test_every_file_of_the_pages_is_served_with_their_headers(server: RunningServer) -> None:
    root = Path(pages.__file__).parents[1] / "web"
    files = [file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()]
    assert len(files) > 15
    for file in files:
        answer = requests.get(f"{server.url}{WEB_PATH}/{file}", timeout=10)
        assert (answer.status_code, answer.content) == (200, (root / file).read_bytes())
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not file.endswith(".js") or answer.headers["Content-Type"].startswith("text/javascript")


def test_pages_and_server_know_the_same_addresses() -> None:
    script = (Path(pages.__file__).parents[1] / "web/app.js").read_text()
    known = re.findall(r'^  \["([^"]+)", \w+\],$', script, re.MULTILINE)
    plain = {re.sub(r"\{\w+\}", "{}", path) for path in known}
    assert {re.sub(r"\{\w+\}", "{}", path.removeprefix("/")) for path in PAGE_PATHS} - plain == {""}
    assert len(plain) == len(PAGE_PATHS) - 1


def test_the_library_of_the_pages_is_the_one_that_was_published() -> None:
    library = Path(pages.__file__).parents[1] / "web/vendor/htm-preact-3.1.1.js"
    published = "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7"
    assert hashlib.sha256(library.read_bytes()).hexdigest() == published


@pytest.mark.parametrize(
    "file", ["", "../settings.py", "..%2fsettings.py", "%2e%2e/settings.py", "pages", "/etc/passwd"]
)
def test_nothing_beside_the_files_of_the_pages_is_served(server: RunningServer, file: str) -> None:
    target = f"{WEB_PATH}/{file}"
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", target)
        answer = connection.getresponse()
        assert answer.status == 404, answer.read()


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_may_follow_links_and_nothing_else(server: RunningServer, site: str) -> None:
    auth, query = ("api", server.key), {"query": "{ viewer { name } }"}
    elsewhere = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    link = elsewhere | {"Sec-Fetch-Mode": "navigate"}
    url = f"{server.url}/graphql"
    for headers in (elsewhere, link):
        assert requests.post(url, json=query, auth=auth, headers=headers, timeout=10).status_code == 403
    assert requests.get(f"{server.url}/me/launch", headers=link, timeout=10).status_code == 200
    assert requests.get(f"{server.url}/launchd/outputs/x", auth=auth, headers=elsewhere, timeout=10).status_code == 403
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert requests.post(url, json=query, auth=auth, headers=own, timeout=10).status_code == 200
