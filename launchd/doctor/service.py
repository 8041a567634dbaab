"""The agent on this host: the state of its unit, whether it answers, and whether its journal can be read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launchd.agent.control.client import ControlError, ask
from launchd.agent.journal_file import JournalError
from launchd.agent.journal_reader import active_jobs
from launchd.doctor.asking import command_output
from launchd.doctor.findings import Finding, fail, not_applicable, ok, warn
from launchd.doctor.host import Host
from launchd.humanize import counted

UNIT = "launch-agent.service"
_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NeedDaemonReload",
    "ExecMainStatus",
    "NRestarts",
)
_EXIT_CONFIGURATION = "78"
#: More restarts than these are no accident.
_MANY_RESTARTS = 5

AGENT_SILENCE = ("The agent hangs; its jobs run on.", "`systemctl restart launch-agent`: it adopts its jobs.")
JOURNAL_SILENCE = ("The disk with the journal hangs.", "Look at the check of the state directory.")


def check_unit(host: Host) -> Iterator[Finding]:
    """Ask systemd for the unit of the agent."""
    if not host.file("/run/systemd/system").is_dir():
        yield not_applicable("systemd does not run here.")
        return
    shown = command_output(["systemctl", "show", UNIT, f"--property={','.join(_PROPERTIES)}"], host.environ)
    if shown is None:
        yield fail(
            "systemd does not answer.", "The state of the service is not known.", "Run the doctor as root: sudo."
        )
        return
    unit = dict(line.partition("=")[::2] for line in shown.splitlines())
    if unit.get("LoadState") != "loaded":
        yield not_applicable(f"{UNIT} is not installed here.")
        return
    yield _state_of(unit)
    yield from _oddities(unit)


def _state_of(unit: dict[str, str]) -> Finding:
    state = f"{unit.get('ActiveState')} ({unit.get('SubState')})"
    match unit.get("ActiveState"):
        case "active" | "reloading":
            return ok(f"{UNIT} is {state}.")
        case "failed" if unit.get("ExecMainStatus") == _EXIT_CONFIGURATION:
            return fail(
                f"{UNIT} has failed over its configuration or its key (exit code 78).",
                "It is not started again by itself.",
                "`journalctl -u launch-agent -n 20` says what is wrong; then `systemctl restart launch-agent`.",
            )
        case "failed":
            return fail(
                f"{UNIT} has failed (exit code {unit.get('ExecMainStatus')}).",
                "This host takes no jobs.",
                "`journalctl -u launch-agent -n 50` says why; then `systemctl restart launch-agent`.",
            )
        case _:
            return warn(f"{UNIT} is {state}.", "This host takes no jobs.", "`systemctl start launch-agent`.")


def _oddities(unit: dict[str, str]) -> Iterator[Finding]:
    if unit.get("UnitFileState") == "disabled":
        yield warn(f"{UNIT} is not enabled.", "It does not start at boot.", "`systemctl enable launch-agent`.")
    if unit.get("NeedDaemonReload") == "yes":
        yield warn(
            f"The file of {UNIT} was changed, and systemd has the old one.",
            "Limits and sandbox are not those of the file.",
            "`systemctl daemon-reload`, after the check of what that does to GPUs of containers.",
        )
    restarts = unit.get("NRestarts", "0")
    if restarts.isdigit() and int(restarts) > _MANY_RESTARTS:
        yield warn(
            f"systemd has restarted the agent {restarts} times.",
            "It crashes, or the watchdog finds it hanging.",
            "`journalctl -u launch-agent` says why.",
        )


def check_agent(host: Host) -> Iterator[Finding]:
    """Ask the agent for its status."""
    try:
        answer = ask(Path(host.config.launchd.runtime_dir), {"command": "status"})
    except ControlError as error:
        yield warn(str(error), "If it is to run now, this host takes no jobs.", "`systemctl start launch-agent`.")
        return
    yield from _of_status(answer.get("status") or {})


def _of_status(status: dict[str, Any]) -> Iterator[Finding]:
    agent, server, outbox = (status.get(name) or {} for name in ("agent", "server", "outbox"))
    yield ok(f"The agent answers: {agent.get('state')}, with {counted(len(status.get('jobs') or ()), 'job')}.")
    if status.get("problem"):
        yield fail(str(status["problem"]), "The agent takes no jobs.", "`launchd status` shows when it is over.")
    if server.get("reachable") is False:
        yield fail(
            f"The agent does not reach its queue server: {server.get('error')}",
            "It gets no jobs; what it has to tell waits.",
            "Look at the check of the server.",
        )
    if outbox.get("dead"):
        yield warn(
            f"The queue server does not take {outbox['dead']} reports.",
            "It shows other outcomes than this host.",
            "`launchd outbox` says why, `launchd outbox retry` sends them again, `launchd outbox drop` forgets them.",
        )
    if status.get("unreadable_jobs"):
        yield warn(
            f"{len(status['unreadable_jobs'])} records of the journal cannot be read.",
            "Their jobs are settled as after a loss.",
            "The log of the agent names them.",
        )


def check_journal(host: Host) -> Iterator[Finding]:
    """Read the journal."""
    directory = Path(host.config.launchd.state_dir)
    if not (directory / "journal.sqlite").exists():
        yield not_applicable(f"No agent ever ran over {directory}.")
        return
    try:
        jobs = active_jobs(directory)
    except JournalError as error:
        yield fail(
            str(error),
            "An agent that cannot read it does not start.",
            "Run the doctor as the agent's user, or as root.",
        )
        return
    yield ok(f"The journal can be read, and has {counted(len(jobs), 'job')} not over.")
