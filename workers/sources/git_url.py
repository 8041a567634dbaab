"""Reads a submitter's git URL: what it means, whether this host's policy grants it, how to show it to people.

Nothing here runs git.
"""

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import msgspec

from ipc.errors import PolicyRefused, SourceError
from ipc.git_address import without_credentials
from ipc.policy_rules import PolicyRules
from workers.git_environment import LOCAL_TRANSPORT

_WITH_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
#: ``ext::sh -c ...`` and the like: git would run a helper program of that name.
_WITH_HELPER = re.compile(r"([A-Za-z0-9+.-]+)::")
#: ``[user@]host:path``; as for git, a colon before the first slash makes it so.
_SCP_LIKE = re.compile(r"(?:[^/@:]+@)?([^/@:]+):.+")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")


class Repository(msgspec.Struct, frozen=True):
    """A repository that this host may fetch: ``url`` for git, ``shown`` for people, ``secrets`` to be redacted."""

    url: str
    shown: str
    secrets: tuple[str, ...] = ()

    def redact(self, text: str) -> str:
        """Return ``text`` without the credentials that stand in the URL."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def parse_repository(url: str, rules: PolicyRules) -> Repository:
    """Return the repository that ``url`` names.

    Raises:
        SourceError: it is no URL of a repository.
        PolicyRefused: its transport is not granted on this host.
    """
    if not url or url.startswith("-") or _CONTROL_CHARACTERS.search(url):
        raise SourceError(
            f"{url!r} is not the URL of a git repository.", hint="Give an https:// or ssh:// URL, or user@host:path."
        )
    try:
        return _parse(url, rules)
    except ValueError as error:
        raise SourceError(f"The URL of the git repository cannot be read: {error}.") from error


def _parse(url: str, rules: PolicyRules) -> Repository:
    transport = _transport(url)
    _check_policy(transport, without_credentials(url)[0], rules)
    if transport == LOCAL_TRANSPORT:
        return _local_repository(url)
    shown, secrets = without_credentials(url)
    return Repository(url, shown, secrets)


def _transport(url: str) -> str:
    if match := _WITH_SCHEME.match(url) or _WITH_HELPER.match(url):
        transport = match[1].lower()
    elif match := _SCP_LIKE.fullmatch(url):
        transport = "ssh"
        _refuse_dashed_host(match[1])
    else:
        return LOCAL_TRANSPORT
    if transport == "ssh" and "://" in url:
        # Both would reach ssh as an option.
        _refuse_dashed_host(urlsplit(url).netloc)
        _refuse_dashed_host(urlsplit(url).hostname or "")
    return transport


def _refuse_dashed_host(host: str) -> None:
    if host.startswith("-"):
        raise SourceError(f"{host!r} is not the name of a host.", hint="A host's name does not begin with a dash.")


def _check_policy(transport: str, shown: str, rules: PolicyRules) -> None:
    if transport == LOCAL_TRANSPORT:
        if not rules.allow_local_git:
            raise PolicyRefused(
                f"The git repository {shown} lies on this host's disk, which its policy does not allow.",
                hint="Give an https:// or ssh:// URL, or have the administrator set launchd.policy.allow_local_git.",
            )
    elif transport not in rules.git_transports:
        raise PolicyRefused(
            f"The git repository {shown} uses the transport {transport}, which this host does not allow.",
            hint=f"It allows: {', '.join(rules.git_transports)} (launchd.policy.git_transports).",
        )


def _local_repository(url: str) -> Repository:
    path = PurePosixPath(unquote(urlsplit(url).path) if _WITH_SCHEME.match(url) else url)
    if not path.is_absolute():
        raise SourceError(f"The path {url} of a git repository is not absolute.", hint="Give the whole path.")
    # With its scheme, git fetches a part of the history where it would copy all of it from a bare path.
    return Repository(f"file://{path}", str(path))
