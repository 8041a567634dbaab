"""`launchd history`: which jobs are shown, their sums, and values that programs read."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ipc.gpus import GpuUse
from launchd.agent.job_history import HistoryEntry
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.cli import main
from launchd.humanize import local_zone

NOON = 1_700_000_000.0
DAY = 86400.0
GPU = GpuUse("GPU-1", "0", "A100", 3, 50.0, 90.0, 1e9, 1 << 30)

Run = Callable[..., Result]


def an_entry(item_id: str, **values: Any) -> HistoryEntry:
    said = {"queue": "gpu", "outcome": "finished", "ended_at": NOON, "claimed_at": NOON - 100, "user": "ada"}
    return HistoryEntry(item_id, **(said | {"entity": "me", "project": "demo"} | values))


ENTRIES = [
    an_entry("first", ended_at=NOON - 9 * DAY, seconds=60.0, cpu_seconds=30.0, peak_memory_bytes=1 << 30),
    an_entry("second", user="bob", outcome="failed", exit_code=3, why="It broke.", seconds=10.0, cpu_seconds=1.0),
    an_entry("third", queue="default", user=None, outcome="stopped", gpus=1, gpu_seconds=50.0, gpu_use=(GPU,)),
    an_entry("fourth", seconds=3600.0, gpus=2, gpu_seconds=7200.0, peak_memory_bytes=2 << 30),
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    journal = Journal(tmp_path / "state" / JOURNAL_FILE)
    for entry in ENTRIES:
        journal.add_to_history(entry)
    journal.commit()
    journal.close()
    config = tmp_path / "launch-config.yaml"
    config.write_text(f"queue: a\nlaunchd: {{state_dir: {tmp_path}/state, runtime_dir: {tmp_path}/run}}\n")

    def command(*arguments: str, **environ: str) -> Result:
        return CliRunner().invoke(main, ["history", *arguments, "-c", str(config)], env={"TZ": "UTC"} | environ)

    return command


def items(done: Result) -> list[str]:
    assert done.exit_code == 0, done.output
    return [entry["item_id"] for entry in json.loads(done.stdout)]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ((), ["fourth", "third", "second", "first"]),
        (("--limit", "2"), ["fourth", "third"]),
        (("--queue", "default"), ["third"]),
        (("--user", "ada", "--user", "bob"), ["fourth", "second", "first"]),
        (("--outcome", "failed", "--outcome", "stopped"), ["third", "second"]),
        (("--since", "2023-11-14"), ["fourth", "third", "second"]),
        (("--since", "2023-11-14T23:00"), []),
        (("--since", "5m"), []),
        (("--queue", "gpu", "--user", "bob", "--outcome", "finished"), []),
    ],
    ids=" ".join,
)
def test_jobs_are_chosen(run: Run, arguments: tuple[str, ...], shown: list[str]) -> None:
    assert items(run("--json", *arguments)) == shown


def test_the_table_says_who_what_and_how_much(run: Run) -> None:
    lines = run().stdout.splitlines()
    assert lines[0].split() == [
        "ENDED",
        local_zone(),
        "ITEM",
        "QUEUE",
        "USER",
        "OUTCOME",
        "EXIT",
        "RAN",
        "CPU",
        "MEMORY",
        "GPUS",
        "ABOUT",
    ]
    assert lines[1].split("  ")[-1].strip() == "demo"
    assert "1h00m" in lines[1]
    assert "2 GiB" in lines[1]
    assert "1 at 50 %" in lines[2]
    assert lines[3].endswith("demo; It broke.")


def test_the_rest_of_a_long_list_is_counted(run: Run) -> None:
    done = run("-n", "1")
    assert done.stderr.startswith("The latest 1 of 4 jobs")


def test_sums_by_several_words(run: Run) -> None:
    sums = json.loads(run("--by", "user", "--by", "outcome", "--json").stdout)
    assert [(row["user"], row["outcome"], row["jobs"]) for row in sums] == [
        ("-", "stopped", 1),
        ("ada", "finished", 2),
        ("bob", "failed", 1),
    ]
    assert sums[1] == {
        "user": "ada",
        "outcome": "finished",
        "jobs": 2,
        "finished": 2,
        "failed": 0,
        "seconds": 3660.0,
        "cpu_seconds": 30.0,
        "gpu_seconds": 7200.0,
        "peak_memory_bytes": 2 << 30,
    }


@pytest.mark.parametrize("word", ["queue", "user", "day", "outcome", "project"])
def test_sums_are_a_table(run: Run, word: str) -> None:
    lines = run("--by", word).stdout.splitlines()
    assert lines[0].split() == [word.upper(), *["JOBS", "FINISHED", "FAILED", "RAN", "CPU", "GPU", "PEAK", "MEMORY"]]
    assert sum(int(line.split()[1]) for line in lines[1:]) == len(ENTRIES)


def test_comma_separated_values_are_read_again(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("--csv").stdout)))
    assert [row["item_id"] for row in rows] == ["fourth", "third", "second", "first"]
    assert (rows[2]["why"], rows[2]["exit_code"], rows[0]["gpu_seconds"]) == ("It broke.", "3", "7200.0")
    assert "gpu_use" not in rows[0]
    assert next(iter(csv.DictReader(io.StringIO(run("--csv", "--by", "queue").stdout))))["queue"] == "default"


def test_no_text_of_others_is_a_formula_or_a_line_of_its_own(run: Run, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state" / JOURNAL_FILE)
    journal.add_to_history(an_entry("evil", name='=cmd|"/c calc"!A1', why="a\nb,c\x1b[2J", user="-1"))
    journal.commit()
    journal.close()
    first = next(iter(csv.DictReader(io.StringIO(run("--csv").stdout))))
    assert (first["name"], first["why"], first["user"]) == ('\'=cmd|"/c calc"!A1', r"a b,c\x1b[2J", "'-1")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--since", "yesterday"), "neither a date"),
        (("--outcome", "lost"), "is not one of"),
        (("--json", "--csv"), "Give one of --json and --csv."),
        (("--limit", "0"), "is not in the range"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(run: Run, arguments: tuple[str, ...], why: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert why in done.output


def test_a_host_without_an_agent_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "state" / JOURNAL_FILE).unlink()
    done = run()
    assert (done.exit_code, "No agent ever ran here" in done.output) == (1, True)


def test_nothing_is_a_sentence_too(run: Run) -> None:
    assert run("--queue", "none").output == "No such job has ended here.\n"
    assert run("--queue", "none", "--by", "day").output == "No such job has ended here.\n"
    assert run("--queue", "none", "--by", "day", "--csv").output == "\n"
