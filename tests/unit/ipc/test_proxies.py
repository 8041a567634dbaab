"""Who goes without a proxy, and what in its address is secret."""

import pytest

from ipc.proxies import direct_loopback, proxy_secrets

PROXY = {"https_proxy": "http://proxy:3128"}
ALWAYS = "localhost,127.0.0.1,::1"


@pytest.mark.parametrize(
    ("environment", "exceptions"),
    [
        ({}, None),
        ({"no_proxy": "a"}, None),
        (PROXY, ALWAYS),
        (PROXY | {"no_proxy": "a, .b"}, f"a,.b,{ALWAYS}"),
        (PROXY | {"NO_PROXY": "localhost"}, "localhost,127.0.0.1,::1"),
        (PROXY | {"no_proxy": "*"}, None),
    ],
)
def test_loopback_is_always_an_exception(environment: dict[str, str], exceptions: str | None) -> None:
    assert direct_loopback(environment) == (
        {} if exceptions is None else dict.fromkeys(("no_proxy", "NO_PROXY"), exceptions)
    )


def test_passwords_of_proxies() -> None:
    environment = {"HTTPS_PROXY": "http://me:p%40ss@proxy:1", "http_proxy": "me:other@proxy:1", "all_proxy": "http://["}

    assert sorted(proxy_secrets(environment)) == ["other", "p%40ss", "p@ss"]
    assert proxy_secrets(PROXY) == ()
