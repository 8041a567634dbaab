"""The recorder passes everything on, and keeps what was asked in vain."""

import requests

from tests.compat.recorder import recorder
from tests.support.server import Account


def test_what_is_asked_in_vain_is_kept_once(account: Account) -> None:
    with recorder(account.url) as proxy, requests.Session() as session:
        session.auth = ("api", account.key)

        def ask(query: str) -> requests.Response:
            return session.post(f"{proxy.url}/graphql", json={"query": query}, timeout=20)

        assert ask("query Who { viewer { username } }").json() == {"data": {"viewer": {"username": account.entity}}}
        assert [ask("query Wrong { viewer { nmae } }").status_code for _ in range(2)] == [400, 400]
        assert session.head(f"{proxy.url}/healthz", timeout=20).status_code == 200
        assert session.get(f"{proxy.url}/storage/run-download/x?y", timeout=20).status_code == 403
        assert session.post(f"{proxy.url}/graphql", iter([b"{", b"}"]), timeout=20).status_code == 400
        session.auth = ("api", "x" * 40)
        assert ask("query Who { viewer { username } }").status_code == 401

        in_vain = [one.partition(": ")[0] for one in proxy.unexpected()]
        assert in_vain == ["POST /graphql Wrong 400", "GET /storage/run-download 403", "POST /graphql ? 400"]
        assert proxy.unexpected() == []
