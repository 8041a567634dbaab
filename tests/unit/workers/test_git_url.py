"""What a git URL means, who may use it, and how it is shown."""

import pytest

from ipc.errors import PolicyRefused, SourceError
from ipc.policy_rules import PolicyRules
from workers.sources.git_url import parse_repository

STRICT = PolicyRules()
LOCAL = PolicyRules(allow_local_git=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/team/code.git",
        "HTTPS://example.com/team/code",
        "https://example.com:8443/team/code",
        "ssh://git@example.com/team/code",
        "ssh://git@example.com:2222/team/code",
        "git@example.com:team/code.git",
        "example.com:team/code.git",
    ],
)
def test_urls_of_other_hosts_are_taken_as_they_are(url: str) -> None:
    repository = parse_repository(url, STRICT)

    assert (repository.url, repository.shown, repository.secrets) == (url, url, ())


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        ("http://example.com/code", "http"),
        ("git://example.com/code", "git"),
        ("ext::sh -c 'touch ran'", "ext"),
        ("fd::17", "fd"),
        ("ftp://example.com/code", "ftp"),
    ],
)
def test_other_transports_are_refused_by_name(url: str, transport: str) -> None:
    with pytest.raises(PolicyRefused, match=f"transport {transport},"):
        parse_repository(url, STRICT)


@pytest.mark.parametrize("url", ["/srv/code", "./code", "code", "../code", "file:///srv/code", "FILE:///srv/code"])
def test_paths_of_this_host_are_refused_unless_the_policy_allows_them(url: str) -> None:
    with pytest.raises(PolicyRefused, match="lies on this host's disk"):
        parse_repository(url, STRICT)


@pytest.mark.parametrize("url", ["/srv/my code", "file:///srv/my%20code"])
def test_an_allowed_path_is_fetched_by_its_file_url(url: str) -> None:
    repository = parse_repository(url, LOCAL)

    assert (repository.url, repository.shown) == ("file:///srv/my code", "/srv/my code")


def test_a_relative_path_is_refused_even_then() -> None:
    with pytest.raises(SourceError, match="not absolute"):
        parse_repository("code", LOCAL)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-oProxyCommand=touch ran",
        "--upload-pack=touch ran",
        "-git@example.com:code",
        "ssh://-oProxyCommand=touch/code",
        "ssh://git@-oProxyCommand=touch/code",
        "git@-oProxyCommand=touch:code",
        "https://example.com/a\nb",
        "https://[broken/code",
    ],
)
def test_what_is_no_repository_is_refused(url: str) -> None:
    with pytest.raises(SourceError):
        parse_repository(url, STRICT)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ada:hunter2@example.com/code", "https://example.com/code"),
        ("https://hunter2@example.com/code", "https://example.com/code"),
        ("https://ada:hunter%32@example.com/code", "https://example.com/code"),
        ("ssh://ada:hunter2@example.com/code", "ssh://example.com/code"),
    ],
)
def test_credentials_are_for_git_alone(url: str, shown: str) -> None:
    repository = parse_repository(url, STRICT)

    assert repository.url == url
    assert repository.shown == shown
    said = repository.redact(f"fatal: unable to access '{url}': password hunter2 of ada:hunter2 was refused")
    assert "hunter2" not in said
    assert "example.com/code" in said


def test_credentials_do_not_show_in_a_refusal() -> None:
    with pytest.raises(PolicyRefused) as refusal:
        parse_repository("http://ada:hunter2@example.com/code", STRICT)

    assert "hunter2" not in str(refusal.value)
