"""What people do with W&B's client, as rows of docs/compatibility.md. Each row is tried by at least one test."""

import pytest

LAUNCH = {
    "-d": "`wandb launch -d IMAGE`",
    "-u git": "`wandb launch -u GIT`",
    "-u dir": "`wandb launch -u DIRECTORY`",
    "-j": "`wandb launch -j JOB`",
}

LOGIN = "`wandb login --host URL KEY`"
VERIFY = "`wandb login --verify`, with a right and a wrong key"
STAY = "any command afterwards, without `WANDB_API_KEY`"

OPTIONS = {
    "-q": "`-q QUEUE`",
    "--priority": "`-q` with `--priority`",
    "--set-var": "`-q` with `--set-var`",
    "-c": "`-q` with `-c FILE`",
    "-R": "`-q` with `-R FILE`",
}


def queued(source: str, option: str) -> str:
    """Name the row of a way to launch through a queue."""
    return f"{LAUNCH[source]} {OPTIONS[option]}"


SECTIONS: dict[str, tuple[str, ...]] = {
    "Logging in": (LOGIN, VERIFY, STAY),
    "Launching through a queue": tuple(queued(source, option) for source in LAUNCH for option in OPTIONS),
    "Launching at once": tuple(LAUNCH.values()),
}


def command(*rows: str) -> pytest.MarkDecorator:
    """Say which rows the test decides."""
    unknown = set(rows) - {row for section in SECTIONS.values() for row in section}
    if unknown:
        raise ValueError(f"no section has the row {unknown}")
    return pytest.mark.command(*rows)
