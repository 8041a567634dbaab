"""Rules of retention: their texts, and which runs of a project they let go."""

import pytest

from launchd.server.runs.retention import EndedRun, RetentionRule, WrongRule, choose, parse_rule, rule_for

DAY = 86400.0
NOW = 1000 * DAY


def run(name: str, days: float, size: int = 0, *, is_needed: bool = False) -> EndedRun:
    return EndedRun(id=len(name), name=name, ended_at=NOW - days * DAY, size=size, is_needed=is_needed)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("30d", RetentionRule(seconds=30 * DAY)),
        ("team/project=200", RetentionRule(project="team/project", runs=200)),
        (
            "team/p=0d,1,2GiB,files:3d",
            RetentionRule(project="team/p", seconds=0, runs=1, size=2 << 30, files_seconds=3 * DAY),
        ),
    ],
)
def test_a_rule_is_read(text: str, rule: RetentionRule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    "text", ["", "team=30d", "-1", "30d,40d", "files:3", "1.5GiB", "a/b=c/d=1", "30 days", "x" * 5000]
)
def test_what_is_no_rule_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(WrongRule, match="A rule is"):
        parse_rule(text)


def test_a_project_has_its_own_rule_else_the_general_one() -> None:
    general, own = parse_rule("30d"), parse_rule("team/p=1")

    assert rule_for((general, own), "team/p") is own
    assert rule_for((general, own), "team/q") is general
    assert rule_for((own,), "team/q") is None


def test_any_limit_lets_a_run_go_and_the_reason_is_said() -> None:
    runs = [run("new", 1, 60), run("kept", 2, 30, is_needed=True), run("large", 3, 20), run("old", 40), run("many", 41)]

    gone = choose(parse_rule("10d,4,100B"), "team/p", runs, NOW)

    assert [(each.run.name, each.reason) for each in gone] == [
        ("large", "100 bytes of files are kept"),
        ("old", "100 bytes of files are kept"),
        ("many", "4 ended runs are kept"),
    ]


def test_files_go_before_their_run() -> None:
    runs = [run("new", 1, 60), run("older", 5, 30), run("bare", 6), run("old", 11, 3)]

    gone = choose(parse_rule("10d,files:3d"), "team/p", runs, NOW)

    assert [(each.run.name, each.files_only) for each in gone] == [("older", True), ("old", False)]
