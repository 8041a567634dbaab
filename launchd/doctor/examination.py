"""Runs checks, each within its time, and makes findings of what they say, of silence and of their own failures."""

from collections.abc import Sequence
from functools import partial

import msgspec

from launchd.doctor.deadlines import within
from launchd.doctor.findings import Check, Finding, fail, not_applicable
from launchd.doctor.host import Host


class Result(msgspec.Struct, frozen=True):
    """A check by its name, and what it found."""

    check: str
    findings: tuple[Finding, ...]


_findings = msgspec.json.Decoder(tuple[Finding, ...])


def examine(checks: Sequence[Check], host: Host) -> list[Result]:
    """Return what the checks find, in their order, each within its time."""
    wanted = [check for check in checks if host.is_usable or not check.needs_config]
    said = within([(partial(_look, check, host), check.seconds) for check in wanted])
    found = {check.name: _decoded(check, data) for check, data in zip(wanted, said, strict=True)}
    skipped = (not_applicable("The configuration cannot be used, so there is nothing to look at."),)
    return [Result(check.name, found.get(check.name, skipped)) for check in checks]


def _look(check: Check, host: Host) -> bytes:
    return msgspec.json.encode(tuple(check.look(host)))


def _decoded(check: Check, data: bytes | None) -> tuple[Finding, ...]:
    if data is None:
        return (fail(f"There was no answer within {check.seconds:g} s.", *check.silence),)
    try:
        return _findings.decode(data)
    except msgspec.DecodeError:
        why = data.decode(errors="replace").strip() or "it ended without a word"
        return (
            fail(f"The check itself failed: {why}.", "Nothing is known of what it looks at.", "Report this error."),
        )
