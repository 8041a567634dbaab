"""Judges a fault campaign: which promises were broken, with a sentence for each case."""

import re
import time
from collections import Counter

import msgspec

from benchmarks.faults.acts import KINDS
from benchmarks.faults.campaign import Campaign
from benchmarks.faults.jobs import FaultJob, missing_lines
from benchmarks.faults.processes import describe
from launchd.client.queue_server import Item

#: The time in which all processes have to end after SIGTERM to the agent.
EXIT_SECONDS = 15.0

#: The time in which the outbox has to become empty.
OUTBOX_SECONDS = 60.0

#: What a failure says, and the groups of acts that make it true if one happened while the item was open.
TRUE_FAILURES: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = (
    (re.compile(r"times in a row"), frozenset({"kill", "stop", "disk", "power"})),
    (re.compile(r"No space left on device|disk is full|cannot be written"), frozenset({"disk"})),
    (re.compile(r"host was restarted"), frozenset({"power"})),
    (re.compile(r"restored|older than|neither its journal nor|does not know"), frozenset({"restore"})),
    (re.compile(r"No worker could be started"), frozenset({"kill", "stop", "disk"})),
)

#: What the failure of a job whose shim was killed says.
SHIM_KILLED = re.compile(r"The process that (kept|was to keep) the job (was killed|ended without noting)")


class Verdict(msgspec.Struct):
    """The number of items, true failures by their sentence, and broken promises: each list has a sentence per case."""

    queued: int
    gone: int
    dead_letters: int
    true_failures: Counter[str]
    lost: list[str]
    forgotten: list[str]
    run_twice: list[str]
    never_run: list[str]
    wrong_outcome: list[str]
    missing_output: list[str]
    disagreements: list[str]
    undelivered: list[str]
    unexpected_exits: list[str]
    left_behind: list[str]
    not_pushed: list[str]

    @property
    def failures(self) -> dict[str, list[str]]:
        """All broken promises, by their names in the table."""
        return {
            "lost (not ended)": self.lost,
            "forgotten (claimed, unknown to the agent)": self.forgotten,
            "doubled (run twice)": self.run_twice,
            "never run though FINISHED": self.never_run,
            "wrong, or failed for an untrue reason": self.wrong_outcome,
            "output lines missing (jobs)": self.missing_output,
            "journal and server disagree": self.disagreements,
            "outcomes not delivered": self.undelivered,
            "supervisor ended by itself": self.unexpected_exits,
            "processes left behind": self.left_behind,
            "time was up before all jobs were pushed": self.not_pushed,
        }


def judge(campaign: Campaign) -> Verdict:
    """Return the verdict on a campaign that has run; the agent is terminated for it."""
    stage = campaign.stage
    runs = _read_runs(campaign)
    counts = Counter(number for number, _ in runs)
    names = {number: {name for other, name in runs if other == number} for number in counts}
    waiting, dead = _wait_for_outbox(campaign)
    wrong, true_failures = _outcomes(campaign, names)
    return Verdict(
        queued=len(campaign.pushed),
        gone=len(campaign.gone),
        dead_letters=dead,
        true_failures=true_failures,
        lost=[_lost(campaign, item_id) for item_id in campaign.open_items if item_id not in campaign.forgotten],
        forgotten=[f"item {item_id}" for item_id in sorted(campaign.forgotten)],
        run_twice=[f"job {number} ran {count} times" for number, count in counts.items() if count > 1],
        never_run=_never_run(campaign, counts),
        wrong_outcome=wrong,
        missing_output=_missing_output(campaign, dict(runs)),
        disagreements=_disagreements(campaign),
        undelivered=[f"{waiting} rows wait in the outbox"] if waiting else [],
        unexpected_exits=[f"exit code {code}" for code in stage.unexpected_exits],
        left_behind=_left_behind(campaign),
        not_pushed=[f"{campaign.missing} jobs"] if campaign.missing else [],
    )


def _read_runs(campaign: Campaign) -> list[tuple[int, str]]:
    """Return the job number and workload name of each run, in order."""
    lines = campaign.runs.read_text().splitlines() if campaign.runs.exists() else []
    return [(int(number), name) for number, name in (line.split() for line in lines)]


def _wait_for_outbox(campaign: Campaign) -> tuple[int, int]:
    deadline = time.monotonic() + OUTBOX_SECONDS
    while (rows := campaign.stage.outbox())[0] and time.monotonic() < deadline:
        time.sleep(0.2)
    return rows


def _lost(campaign: Campaign, item_id: str) -> str:
    item = campaign.stage.testbed.client.item(item_id)
    state = item.state if item is not None else "not at the server"
    known = "known" if campaign.stage.knows(item_id) else "unknown"
    return f"item {item_id}, {campaign.pushed[item_id].kind}: {state}, {known} to the agent"


def _never_run(campaign: Campaign, runs: Counter[int]) -> list[str]:
    finished = [item_id for item_id, item in campaign.ended.items() if item.state == "FINISHED"]
    return [f"item {item_id}" for item_id in finished if not runs[campaign.pushed[item_id].number]]


# -- outcomes


def _outcomes(campaign: Campaign, names: dict[int, set[str]]) -> tuple[list[str], Counter[str]]:
    """Return the wrong outcomes, and how often each sentence of a true failure was said."""
    wrong: list[str] = []
    true_failures: Counter[str] = Counter()
    for item_id, item in campaign.ended.items():
        job = campaign.pushed[item_id]
        if (item.state, item.exit_code) == (job.state, job.exit_code):
            continue
        if _is_true(campaign, item_id, item, names.get(job.number, set())):
            true_failures[re.sub(r"launchd-\w+-\d+|/\S+", "...", item.message or "")[:120]] += 1
        else:
            wrong.append(_wrong(item_id, item, job))
    return wrong, true_failures


def _wrong(item_id: str, item: Item, job: FaultJob) -> str:
    seen = f"{item.state} with {item.exit_code} ({item.message})"
    return f"item {item_id}, {job.kind}: {seen} instead of {job.state} with {job.exit_code}"


def _is_true(campaign: Campaign, item_id: str, item: Item, names: set[str]) -> bool:
    """Return whether the item failed, and for a reason that was there."""
    if item.state != "FAILED" or item.message is None:
        return False
    if SHIM_KILLED.search(item.message):
        # Before the command has run there is no line with its name.
        return bool(names & campaign.stage.killed_shims) or (not names and bool(campaign.stage.killed_shims))
    groups = _groups_during(campaign, item_id)
    return any(pattern.search(item.message) and groups & causes for pattern, causes in TRUE_FAILURES)


def _groups_during(campaign: Campaign, item_id: str) -> set[str]:
    """Return the groups of the acts that were going on while the item was open."""
    pushed_at, ended_at = campaign.open_between[item_id]
    return {
        KINDS[done.kind].group
        for done in campaign.stage.history
        if (done.until or done.at) >= pushed_at and (ended_at is None or done.at <= ended_at)
    }


def _missing_output(campaign: Campaign, names: dict[int, str]) -> list[str]:
    incomplete = []
    directories = campaign.stage.testbed.state_dir / "jobs"
    for item_id, item in campaign.ended.items():
        job = campaign.pushed[item_id]
        # A full disk takes no output, and a job that failed did not get to print all.
        if job.kind != "printing" or item.state != "FINISHED" or "disk" in _groups_during(campaign, item_id):
            continue
        if job.number in names:
            missing = missing_lines(job, directories / names[job.number] / "output.log")
            incomplete += [f"item {item_id}: {missing} of {job.lines} lines"] if missing else []
    return incomplete


def _disagreements(campaign: Campaign) -> list[str]:
    journal = {item_id: state.upper() for item_id, state in campaign.stage.testbed.journal_states().items()}
    # A restored state directory may have no record of a job that has ended since.
    restored = any(done.kind == "restore: agent" for done in campaign.stage.history)
    return [
        f"item {item_id}: {journal.get(item_id)} in the journal, {item.state} at the server"
        for item_id, item in campaign.ended.items()
        if journal.get(item_id) != item.state and not (restored and item_id not in journal)
    ]


def _left_behind(campaign: Campaign) -> list[str]:
    """Terminate the agent; return a description of each process that is still alive afterwards, and kill it."""
    agent = campaign.stage.testbed.agent
    assert agent is not None
    agent.wait_ready()
    agent.terminate()
    deadline = time.monotonic() + EXIT_SECONDS
    while (left := campaign.stage.processes.of_agent()) and time.monotonic() < deadline:
        time.sleep(0.1)
    descriptions = [describe(process) for process in left]
    for process in left:
        process.kill()
    return descriptions
