"""`launchd doctor`: examines this host, its agent and its queue server, and says what is wrong and what mends it."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from launchd.cli.masking import without_passwords
from launchd.cli.options import agent_options, url_option
from launchd.cli.terminal import Line, Span, echo, echo_json
from launchd.doctor.checks import CHECKS
from launchd.doctor.diagnosis import diagnose
from launchd.doctor.examination import Result
from launchd.doctor.findings import Finding, Verdict

_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red", Verdict.NOT_APPLICABLE: "bright_black"}
_WIDTH = max(map(len, Verdict)) + 2

#: What is wrong keeps this agent from its work. A warning alone is no failure.
EXIT_FAILED = 1

EXAMPLES = """\b
Examples:
  sudo launchd doctor
  launchd doctor --json | jq '.checks[] | select(.verdict == "fail")'
"""


@click.command(epilog=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print all findings as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show what does not apply to this host, too.")
@url_option
@agent_options
def doctor(as_json: bool, verbose: bool, url: str | None, config_path: str | None, state_dir: Path | None) -> None:
    """Examine this host, its agent and its queue server: what is wrong, what it means and what mends it.

    It changes nothing. Each check has a limit of time, so that nothing that hangs can hang the doctor. Run it as the
    agent's user, which is root for the system service. The exit code is 1 if a check fails, otherwise 0.
    """
    results = diagnose(CHECKS, config_path, state_dir, url, os.environ)
    worst = {finding.verdict for result in results for finding in result.findings}
    if as_json:
        echo_json({"checks": [*_as_json(results)], "ok": Verdict.FAIL not in worst})
    else:
        echo(*_lines(results, verbose=verbose))
    sys.exit(EXIT_FAILED if Verdict.FAIL in worst else 0)


def _as_json(results: Sequence[Result]) -> Iterator[dict[str, str]]:
    for result in results:
        for one in result.findings:
            yield {
                "check": result.check,
                "verdict": one.verdict,
                "sentence": without_passwords(one.sentence),
                "meaning": one.meaning,
                "fix": one.fix,
            }


def _lines(results: Sequence[Result], *, verbose: bool) -> Iterator[Line]:
    for result in results:
        for one in result.findings:
            if verbose or one.verdict is not Verdict.NOT_APPLICABLE:
                yield from _of_finding(result.check, one)
    counts = [sum(one.verdict is verdict for result in results for one in result.findings) for verdict in Verdict]
    yield ", ".join(f"{count} {verdict}" for count, verdict in zip(counts, Verdict, strict=True))


def _of_finding(check: str, one: Finding) -> Iterator[Line]:
    yield [
        Span(f"{one.verdict:{_WIDTH}}", _COLOURS[one.verdict]),
        Span(f"{check}: ", bold=True),
        Span(without_passwords(one.sentence)),
    ]
    indent = " " * _WIDTH
    if one.meaning:
        yield f"{indent}{one.meaning}"
    if one.fix:
        yield f"{indent}Fix: {one.fix}"
