"""The view of `launchd status`: lines from the control socket's response. Pure functions."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ipc.sizes import format_size
from ipc.visible_text import visible
from launchd.cli.tables import MIN_LAST_WIDTH, cut, table
from launchd.cli.terminal import Line, Span
from launchd.humanize import format_age, format_job_limit, format_jobs, format_seconds, join_quoted, one_line

GREEN, YELLOW, RED, PLAIN = "green", "yellow", "red", None

COLOURS = {
    "polling": GREEN,
    "draining": YELLOW,
    "leaving": YELLOW,
    "running": GREEN,
    "finished": GREEN,
    "stopping": YELLOW,
    "stopped": YELLOW,
    "preempted": YELLOW,
    "unknown": RED,
    "failed": RED,
}

_LABEL_WIDTH = 9

#: What the requirements of jobs are installed by.
_INSTALLED_BY = {
    "uv": "installed by uv, which came with the agent",
    "pip": "installed by pip; the extra venv brings uv",
}

#: Number of the jobs shown that ended last; `--json` has more.
RECENT_JOBS = 10


def status_lines(status: Mapping[str, Any], now: float, width: int) -> list[Line]:
    """Return the whole view for a terminal of ``width`` columns at the time ``now`` (seconds since the epoch)."""
    jobs, recent = status["jobs"], status["recent"]
    return [
        *_agent(status["agent"], now, width),
        *_labelled_lines("", _draining(status["agent"]), width, YELLOW),
        *_server(status["server"], width),
        *_outbox(status["outbox"]),
        *_labelled_lines("problem", status["problem"], width, RED),
        *_labelled_lines("groups", status.get("control_groups", {}).get("shortcoming"), width),
        *_environments(status.get("environments", ()), now, width),
        *_labelled_lines("packages", _INSTALLED_BY.get(status.get("installer", "")), width),
        *_gpus(status.get("gpus", {}), width),
        *_labelled_lines("records", _unreadable(status.get("unreadable_jobs", ())), width, RED),
        "",
        *(_jobs(jobs, width) if jobs else ["No job is running."]),
        *(["", *_recent(recent[:RECENT_JOBS], width)] if recent else []),
    ]


def _labelled(label: str, *text: Span) -> Line:
    return [Span(label.ljust(_LABEL_WIDTH), "bright_black"), *text]


def _labelled_lines(label: str, sentence: str | None, width: int, colour: str | None = PLAIN) -> list[Line]:
    """Return the lines of a sentence, wrapped; none where there is no sentence."""
    lines = textwrap.wrap(visible(one_line(sentence)), max(MIN_LAST_WIDTH, width - _LABEL_WIDTH))
    return [_labelled(label if number == 0 else "", Span(line, colour)) for number, line in enumerate(lines)]


def _agent(agent: Mapping[str, Any], now: float, width: int) -> list[Line]:
    state = Span(agent["state"], COLOURS.get(agent["state"]))
    name = agent["name"] or agent["hostname"]
    known = f"{agent['id']}, " if agent["id"] else ""
    where = f" on {agent['hostname']}" if agent["name"] else ""
    about = f"  {name}{where} ({known}process {agent['pid']}), for {format_age(now - agent['started_at'])}"
    queues = f"{join_quoted(agent['queues']) or '-'} of {agent['entity'] or '-'}, {format_job_limit(agent['max_jobs'])}"
    return [
        _labelled("agent", state, _cut(about, width - _LABEL_WIDTH - len(state.text))),
        _labelled("queues", _cut(queues, width - _LABEL_WIDTH)),
    ]


def _draining(agent: Mapping[str, Any]) -> str | None:
    why, command = agent.get("why_draining"), agent.get("undrained_by")
    if not why:
        return None
    return f"It drains because {why}" + (f"; `{command}` has it take jobs again." if command else ".")


def _cut(text: str, width: int) -> Span:
    return Span(cut(visible(text), width))


def _server(server: Mapping[str, Any], width: int) -> list[Line]:
    last = server["last_contact_seconds"]
    if server["reachable"]:
        heard = Span(f"  {server['url']}, heard {format_age(last)} ago")
        return [_labelled("server", Span("reachable", GREEN), heard)]
    since = "never heard" if last is None else f"last heard {format_age(last)} ago"
    first = _labelled("server", Span("away", RED), Span(f"  {server['url']}, {since}"))
    return [first, *_labelled_lines("", server["error"], width)]


def _environments(found: Sequence[Mapping[str, Any]], now: float, width: int) -> list[Line]:
    """Return a line for each cloud, registry or cluster: as whom it knows this host, or why it does not."""
    lines: list[Line] = []
    for number, one in enumerate(found):
        age = f" (asked {format_age(now - one['checked_at'])} ago)"
        sentence = f"{one['name']}: {one['sentence']}{age} {one['hint']}".rstrip()
        label = "" if number else "uses"
        lines += _labelled_lines(label, sentence, width, PLAIN if one["usable"] else RED)
    return lines


def _unreadable(items: Sequence[str]) -> str | None:
    return f"not readable, and set aside: {', '.join(items)}" if items else None


def _gpus(gpus: Mapping[str, Any], width: int) -> list[Line]:
    """Return a line for each GPU: who has it, or why it is not given out."""
    if not gpus.get("managed"):
        return []
    first = Span(gpu_counts(gpus), YELLOW if gpus["waiting"] else PLAIN)
    why = _labelled_lines("", None if gpus["known"] else gpus["why"], width, RED)
    return [_labelled("gpus", first), *why, *(_gpu(gpu, width) for gpu in gpus["gpus"])]


def gpu_counts(gpus: Mapping[str, Any]) -> str:
    """Return how many GPUs there are, and how many of them are free, in words."""
    if not gpus["known"]:
        return "not known yet"
    free = sum(is_free(gpu) for gpu in gpus["gpus"])
    waiting = f", waited for by {format_jobs(gpus['waiting'])}" if gpus["waiting"] else ""
    return f"{free} of {len(gpus['gpus'])} free{waiting}"


def is_free(gpu: Mapping[str, Any]) -> bool:
    """Return whether a GPU can be given out."""
    return gpu["item_id"] is None and gpu["hindrance"] is None


def _gpu(gpu: Mapping[str, Any], width: int) -> Line:
    colour = PLAIN if gpu["item_id"] else GREEN if is_free(gpu) else RED if gpu["set_aside"] else YELLOW
    text = f"{gpu['label']} {gpu['name']}: {gpu_state(gpu)}"
    return _labelled("", Span(cut(visible(one_line(text)), width - _LABEL_WIDTH), colour))


def gpu_state(gpu: Mapping[str, Any]) -> str:
    """Return who has a GPU and what it does, or why it is not given out."""
    busy = "" if gpu["utilisation"] is None else f"{gpu['utilisation']:.0f} %"
    used = "" if gpu["memory_used"] is None else f"{format_size(gpu['memory_used'])} used"
    does = ", ".join(filter(None, (busy, used)))
    if gpu["item_id"]:
        state = f"item {gpu['item_id']}" + (f" ({does})" if does else "")
        return f"{state}; set aside: {gpu['set_aside']}" if gpu["set_aside"] else state
    if gpu["set_aside"]:
        return f"set aside: {gpu['set_aside']}"
    return gpu["hindrance"] or "free"


def _outbox(outbox: Mapping[str, Any]) -> list[Line]:
    waiting, dead = outbox["waiting"], outbox["dead"]
    oldest = f"{waiting} waiting, the oldest for {format_age(outbox['oldest_seconds'])}" if waiting else ""
    refused = f"{dead} not taken by the server: see launchd outbox" if dead else ""
    text = "; ".join(part for part in (oldest, refused) if part)
    return [_labelled("outbox", Span(text or "empty", RED if dead else YELLOW if waiting else PLAIN))]


def _jobs(jobs: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    rows = [
        [
            Span(job["item_id"]),
            Span(job["queue"]),
            Span(job["run_id"]),
            Span(f"{job['phase']} {format_age(job['phase_seconds'])}", COLOURS.get(job["phase"])),
            Span(format_age(job["age_seconds"])),
            Span(_about(job)),
        ]
        for job in jobs
    ]
    title = Span(format_jobs(len(jobs)), bold=True)
    return [[title], *table(["ITEM", "QUEUE", "RUN", "PHASE", "AGE", "ABOUT"], rows, width, "  ")]


def _about(job: Mapping[str, Any]) -> str:
    attempt = f"attempt {job['attempt']}" if job["attempt"] > 1 else ""
    limit = job.get("time_limit_seconds")
    limited = f"may run {format_age(limit)}" if limit else ""
    parts = (_whose(job), attempt, limited, one_line(job["message"]), job.get("command"))
    return "; ".join(part for part in parts if part)


def _whose(job: Mapping[str, Any]) -> str:
    """Return project and name of a job, and in whose name it runs."""
    name = f"{job['project']}/{job['name']}" if job["name"] else job["project"]
    return f"{name} by {job['author']}" if job.get("author") else name


def _how_it_ended(job: Mapping[str, Any]) -> str:
    ended = " ".join(filter(None, (one_line(_reason(job)), _used(job))))
    return "; ".join(filter(None, (_whose(job), ended, job.get("command"))))


def _recent(jobs: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    rows = [
        [
            Span(job["item_id"]),
            Span(job["queue"]),
            Span(job["run_id"]),
            Span(job["phase"], COLOURS.get(job["phase"])),
            Span("-" if job["exit_code"] is None else str(job["exit_code"])),
            Span(format_age(job["phase_seconds"])),
            Span(_how_it_ended(job)),
        ]
        for job in jobs
    ]
    title = Span("Ended last", bold=True)
    return [[title], *table(["ITEM", "QUEUE", "RUN", "OUTCOME", "EXIT", "AGO", "ABOUT"], rows, width, "  ")]


def _used(job: Mapping[str, Any]) -> str:
    """Return what the job used, as far as it is known, in parentheses."""
    cpu_seconds, memory = job.get("cpu_seconds"), job.get("peak_memory_bytes")
    time = "" if cpu_seconds is None else f"{format_seconds(cpu_seconds)} of CPU"
    space = "" if memory is None else format_size(memory)
    known = ", ".join(filter(None, (time, space, *map(_gpu_use, job.get("gpu_use") or ()))))
    return f"(used {known})" if known else ""


def _gpu_use(use: Mapping[str, Any]) -> str:
    mean, peak = use["utilisation_mean"], use["memory_peak"]
    does = [] if mean is None else [f"{mean:.0f} %"]
    does += [] if peak is None else [format_size(peak)]
    return f"GPU {use['label']}" + (f" at {', '.join(does)}" if does else "")


def _reason(job: Mapping[str, Any]) -> str | None:
    """Return the reason of the outcome; of a stopped job, the reason that the stop was requested with."""
    reason: str | None = job["stop_reason"] if job["phase"] == "stopped" else None
    return reason or job["message"]
