"""Views: text for the terminal from values."""

from typing import Any

import pytest
from click import unstyle

from launchd.cli.agents import agent_status
from launchd.cli.gpus import gpu_lines
from launchd.cli.status_view import status_lines
from launchd.cli.tables import cut, table
from launchd.cli.terminal import Span, rendered
from launchd.client.queue_server import Agent
from launchd.humanize import format_age, format_jobs, one_line

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (-3, "0s"), (7.9, "7s"), (60, "1m00s"), (125, "2m05s"), (11400, "3h10m"), (352800, "4d02h")],
)
def test_ages(seconds: float | None, shown: str) -> None:
    assert format_age(seconds) == shown


def test_numbers_of_jobs_and_single_lines() -> None:
    assert (format_jobs(0), format_jobs(1), format_jobs(2)) == ("0 jobs", "1 job", "2 jobs")
    assert one_line("a\nb \u2028 c\t") == "a b c"
    assert one_line(None) == ""


def test_a_table_cuts_its_last_column_alone() -> None:
    rows = [[Span("a" * 20), Span("b" * 100)], [Span("c"), Span("d")]]

    lines = [unstyle(rendered(line)) for line in table(("FIRST", "SECOND"), rows, width=80)]

    assert lines == ["FIRST                 SECOND", f"{'a' * 20}  {'b' * 55}...", f"c{' ' * 21}d"]
    assert cut("abcdef", 6) == "abcdef"


def test_the_end_of_a_row_has_its_own_line_where_its_column_is_too_narrow() -> None:
    rows = [[Span("a" * 20), Span("b" * 40)], [Span("c"), Span("d")]]

    lines = [unstyle(rendered(line)) for line in table(("FIRST", "SECOND"), rows, width=40, indent="  ")]

    assert lines == [f"  FIRST{' ' * 17}SECOND", f"  {'a' * 20}", f"      {'b' * 31}...", f"  c{' ' * 21}d"]


def a_job(**values: Any) -> dict[str, Any]:
    return {
        "item_id": "d63e3be6d63e3be6d63e",
        "queue": "default",
        "run_id": "byihh715",
        "project": "demo",
        "name": None,
        "phase": "running",
        "age_seconds": 125.0,
        "phase_seconds": 120.0,
        "attempt": 1,
        "message": None,
        "stop_reason": None,
        "exit_code": None,
    } | values


def a_status(**values: Any) -> dict[str, Any]:
    agent = {
        "id": "0123456789",
        "name": "agent01",
        "hostname": "host1",
        "state": "polling",
        "pid": 42,
        "started_at": NOW - 60,
        "queues": ["default", "gpu"],
        "entity": "me",
        "max_jobs": 4,
    }
    server = {"url": "http://host:8780", "reachable": True, "last_contact_seconds": 2.0, "error": None}
    outbox = {"waiting": 0, "oldest_seconds": None, "dead": 0}
    return {"agent": agent, "server": server, "outbox": outbox, "problem": None, "jobs": [], "recent": []} | values


def shown(status: dict[str, Any], width: int = 80) -> list[str]:
    return [unstyle(rendered(line)) for line in status_lines(status, NOW, width)]


def test_an_idle_agent() -> None:
    assert shown(a_status()) == [
        "agent    polling  agent01 on host1 (0123456789, process 42), for 1m00s",
        "queues   default, gpu of me, at most 4 jobs",
        "server   reachable  http://host:8780, heard 2s ago",
        "outbox   empty",
        "",
        "No job is running.",
    ]


def test_what_jobs_use_of_a_cloud_is_shown_with_the_answer() -> None:
    found = [
        {"name": "aws", "usable": True, "sentence": "This host speaks to AWS.", "hint": "", "checked_at": NOW - 90},
        {"name": "registry", "usable": False, "sentence": "It is away.", "hint": "Log in.", "checked_at": NOW - 5},
    ]

    assert shown(a_status(environments=found))[4:6] == [
        "uses     aws: This host speaks to AWS. (asked 1m30s ago)",
        "         registry: It is away. (asked 5s ago) Log in.",
    ]


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, "at most 1 job"), (2, "at most 2 jobs"), (-1, "any number of jobs")]
)
def test_how_many_jobs_an_agent_takes(limit: int, expected: str) -> None:
    agent = a_status()["agent"] | {"max_jobs": limit}

    assert shown(a_status(agent=agent))[1] == f"queues   default, gpu of me, {expected}"


def test_jobs_and_outcomes_fit_into_80_columns() -> None:
    jobs = [a_job(), a_job(phase="building", attempt=2, name="a run", message="Collecting torch\n" * 9)]
    recent = [
        a_job(phase="failed", exit_code=3, message="The command ended with exit code 3, for some reason or other."),
        a_job(phase="stopped", exit_code=143, message="killed by SIGTERM", stop_reason="wrong data"),
    ]

    lines = shown(a_status(jobs=jobs, recent=recent))

    assert max(map(len, lines)) <= 80
    assert lines[5:] == [
        "2 jobs",
        "  ITEM                  QUEUE    RUN       PHASE           AGE    ABOUT",
        "  d63e3be6d63e3be6d63e  default  byihh715  running 2m00s   2m05s  demo",
        "  d63e3be6d63e3be6d63e  default  byihh715  building 2m00s  2m05s",
        "      demo/a run; attempt 2; Collecting torch Collecting torch Collecting tor...",
        "",
        "Ended last",
        "  ITEM                  QUEUE    RUN       OUTCOME  EXIT  AGO    ABOUT",
        "  d63e3be6d63e3be6d63e  default  byihh715  failed   3     2m00s",
        "      demo; The command ended with exit code 3, for some reason or other.",
        "  d63e3be6d63e3be6d63e  default  byihh715  stopped  143   2m00s",
        "      demo; wrong data",
    ]
    assert "demo/a run; attempt 2; Collecting torch Collecting" in shown(a_status(jobs=jobs), width=200)[8]


def test_whose_job_it_is_and_what_it_runs_is_shown() -> None:
    job = a_job(name="a run", author="ada", command="python train.py --lr 1")
    failed = job | {"phase": "failed", "exit_code": 3, "message": "Too large."}

    lines = shown(a_status(jobs=[job], recent=[failed]), width=200)

    assert lines[7].endswith("demo/a run by ada; python train.py --lr 1")
    assert lines[11].endswith("demo/a run by ada; Too large.; python train.py --lr 1")


def test_what_an_ended_job_used_is_shown() -> None:
    used = {"cpu_seconds": 12.34, "peak_memory_bytes": 300 << 20}
    recent = [
        a_job(phase="failed", exit_code=137, message="Too large.", **used),
        a_job(phase="finished", exit_code=0, cpu_seconds=125.0),
    ]

    lines = shown(a_status(recent=recent), width=200)

    assert lines[-2].endswith("Too large. (used 12.3s of CPU, 300 MiB)")
    assert lines[-1].endswith("demo; (used 2m05s of CPU)")


def test_what_is_not_held_of_jobs_is_shown() -> None:
    groups = {"root": None, "shortcoming": "No limits here."}

    assert "groups   No limits here." in shown(a_status(control_groups=groups))


@pytest.mark.parametrize(
    ("outbox", "expected"),
    [
        ({"waiting": 2, "oldest_seconds": 65.0, "dead": 0}, "2 waiting, the oldest for 1m05s"),
        ({"waiting": 0, "oldest_seconds": None, "dead": 1}, "1 not taken by the server: see launchd outbox"),
        (
            {"waiting": 1, "oldest_seconds": 7.0, "dead": 3},
            "1 waiting, the oldest for 7s; 3 not taken by the server: see launchd outbox",
        ),
    ],
)
def test_what_is_left_to_tell_is_shown(outbox: dict[str, Any], expected: str) -> None:
    assert shown(a_status(outbox=outbox))[3] == f"outbox   {expected}"


def a_gpu(label: str, **values: Any) -> dict[str, Any]:
    return {
        "label": label,
        "name": "H100",
        "uuid": f"GPU-{label}",
        "memory": 80 << 30,
        "item_id": None,
        "hindrance": None,
        "set_aside": None,
        "utilisation": None,
        "memory_used": None,
    } | values


GPUS = {
    "managed": True,
    "known": True,
    "why": None,
    "waiting": 2,
    "gpus": [
        a_gpu("0"),
        a_gpu("1", item_id="item1", utilisation=93.0, memory_used=40 << 30),
        a_gpu("2", hindrance="process 17 is on it, of no job that has it"),
        a_gpu("3", hindrance="it is hot", set_aside="it is hot"),
        a_gpu("4", item_id="item2", set_aside="it is hot"),
    ],
}


def test_gpus_are_shown_with_who_has_them() -> None:
    assert shown(a_status(gpus=GPUS))[4:10] == [
        "gpus     1 of 5 free, waited for by 2 jobs",
        "         0 H100: free",
        "         1 H100: item item1 (93 %, 40 GiB used)",
        "         2 H100: process 17 is on it, of no job that has it",
        "         3 H100: set aside: it is hot",
        "         4 H100: item item2; set aside: it is hot",
    ]
    assert shown(a_status(gpus={"managed": False, "why": "no driver", "gpus": [], "waiting": 0})) == shown(a_status())
    unknown = {"managed": True, "known": False, "why": "The driver hangs.", "gpus": [], "waiting": 0}
    assert shown(a_status(gpus=unknown))[4:6] == ["gpus     not known yet", "         The driver hangs."]


def test_the_gpus_alone() -> None:
    lines = [unstyle(rendered(line)) for line in gpu_lines(GPUS, 80)]
    assert [line.split() for line in lines[:3]] == [
        ["1", "of", "5", "free,", "waited", "for", "by", "2", "jobs"],
        ["GPU", "NAME", "MEMORY", "UUID", "STATE"],
        ["0", "H100", "80", "GiB", "GPU-0", "free"],
    ]
    assert gpu_lines({"managed": False, "why": "no driver is loaded."}, 80) == [
        "This agent gives out no GPUs: no driver is loaded."
    ]


def test_what_gpus_did_stands_with_what_a_job_used() -> None:
    use = {"label": "0", "utilisation_mean": 81.0, "memory_peak": 2 << 30}
    idle = {"label": "1", "utilisation_mean": None, "memory_peak": None}
    job = a_job(phase="finished", exit_code=0, cpu_seconds=3.0, peak_memory_bytes=1 << 30, gpu_use=[use, idle])
    (line,) = [line for line in shown(a_status(recent=[job]), 160) if "GPU" in line]
    assert line.endswith("(used 3.0s of CPU, 1 GiB, GPU 0 at 81 %, 2 GiB, GPU 1)")


def test_problems_are_shown() -> None:
    status = a_status(
        server={"url": "http://host:8780", "reachable": False, "last_contact_seconds": None, "error": "Nobody\nthere."},
        outbox={"waiting": 3, "oldest_seconds": 65.0, "dead": 0},
        problem="The journal cannot be written, for the disk is full; what runs goes on, and nothing new is begun.",
    )

    assert shown(status)[2:7] == [
        "server   away  http://host:8780, never heard",
        "         Nobody there.",
        "outbox   3 waiting, the oldest for 1m05s",
        "problem  The journal cannot be written, for the disk is full; what runs goes on,",
        "         and nothing new is begun.",
    ]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("POLLING", "Polling"), ("RUNNING", "Running"), ("KILLED", "Killed"), ("LOST", "Lost"), (None, "Unknown")],
)
def test_the_status_of_an_agent_is_the_servers_word(status: str | None, expected: str) -> None:
    assert agent_status(Agent("1", "agent1", status)) == expected
