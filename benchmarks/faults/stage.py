"""What a fault campaign acts upon, and each kind of act with its undoing.

A stage is a testbed whose agent reaches its queue server over a link that can fail, on a disk that can be full, with
clocks of their own. What is down is started again by :meth:`Stage.restart_dead`, as a service manager would.
"""

import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import psutil

from benchmarks.faults.acts import KINDS, PlannedAct
from benchmarks.faults.clocks import STEPS, Clocks
from benchmarks.faults.link import Link, open_link
from benchmarks.faults.lossy_disk.disk import LossyDisk
from benchmarks.faults.power import Power
from benchmarks.faults.processes import Processes, job_of_shim
from benchmarks.faults.small_disk import SmallDisk
from benchmarks.faults.snapshots import Snapshot, Snapshots
from launchd.agent.control.client import ControlError
from tests.support.server import running_server
from tests.support.testbed import AgentProcess, Testbed
from tests.support.waiting import wait_until

#: The leases of the queue server, in seconds: short, so that an item whose lease has to end is not waited for long.
LEASE_SECONDS = 10.0

#: How long the queue server takes an unheard agent for living: longer than any act lasts, and short, because an agent
#: whose journal was restored is refused for so long.
AGENT_TIMEOUT_SECONDS = 20.0

SERVER_OPTIONS = ("--lease-seconds", str(LEASE_SECONDS), "--agent-timeout-seconds", str(AGENT_TIMEOUT_SECONDS))

#: Room on the disk of the agent's state directory, in MiB: to begin with, and for each job.
DISK_MEBIBYTES = 64
DISK_MEBIBYTES_PER_JOB = 0.2

#: After an act of these groups there is none of the same group for so long, in seconds: jobs could not go on at all.
QUIET_SECONDS = {"disk": 3.0, "link": 1.5, "power": 3.0, "restore": 15.0}

#: The share of power cuts that do not wait until the agent is connected to the queue server.
STARTING_SHARE = 0.2

#: A supervisor that has ended is started again after so long, in seconds.
RESTART_SECONDS = 0.5

Undo = Callable[[], None]


class Done(msgspec.Struct, frozen=True):
    """An act that was done at ``at`` (monotonic seconds), until ``until`` where it is over."""

    kind: str
    at: float
    until: float | None = None


class Stage:
    """The testbed with what acts need; ``groups`` are those of the acts that will be done."""

    def __init__(self, stack: ExitStack, directory: Path, groups: Collection[str], jobs: int, max_jobs: int) -> None:
        """Start the queue server and what the acts need; ``stack`` ends it all.

        Raises:
            CannotRun: this machine cannot do acts of one of the groups.
        """
        self.clocks = Clocks(directory / "clocks", ("agent", "server")) if "clock" in groups else None
        (directory / "server").mkdir()
        mebibytes = int(DISK_MEBIBYTES + DISK_MEBIBYTES_PER_JOB * jobs)
        self.power: Power | None = None
        self.disk: SmallDisk | LossyDisk | None = None
        if "power" in groups:
            self.power = Power(stack, directory, mebibytes)
            self.disk = self.power.agent_disk
        elif "disk" in groups:
            self.disk = SmallDisk(directory / "state", mebibytes)
            stack.callback(self.disk.close)
        environment = self.clocks.environment("server") if self.clocks is not None else {}
        server = stack.enter_context(
            running_server(directory / "server", *SERVER_OPTIONS, apart=True, environment=environment)
        )
        self._server = server
        self.testbed = Testbed(directory, server, max_jobs=max_jobs, launchd={"jobs": {"keep_finished": 10 * jobs}})
        stack.callback(self.testbed.close)
        self.link: Link | None = stack.enter_context(open_link(server.url)) if "link" in groups else None
        self.processes = Processes(self.testbed, server, self.power.pids if self.power is not None else ())
        self.server_snapshots = Snapshots(server.data_dir / "server.sqlite", directory / "server-snapshots")
        self.agent_snapshots = Snapshots(self.testbed.state_dir / "journal.sqlite", directory / "agent-snapshots")
        self._takes_snapshots = "restore" in groups
        #: What was done, in order.
        self.history: list[Done] = []
        #: The workload names of the jobs whose shims were killed.
        self.killed_shims: set[str] = set()
        #: The snapshots of the queue server that were restored since this was last cleared.
        self.restored: list[Snapshot] = []
        #: The exit codes of supervisors that ended without an act.
        self.unexpected_exits: list[int] = []
        self._down: Counter[str] = Counter()
        self._frozen: Counter[int] = Counter()
        self._is_full = False
        self._quiet_until: dict[str, float] = {}
        self._started_at = 0.0
        self._starting = threading.Thread()
        self._acts: dict[str, Callable[[PlannedAct], Undo | None]] = {
            "kill: worker": lambda act: self._signal_one(self.processes.workers(), act, signal.SIGKILL),
            "kill: supervisor": self._kill_supervisor,
            "kill: fork server": lambda act: self._signal_one(self.processes.fork_servers(), act, signal.SIGKILL),
            "kill: queue server": self._kill_queue_server,
            "kill: shim": self._kill_shim,
            "stop: worker, for good": lambda act: self._signal_one(self.processes.workers(), act, signal.SIGSTOP),
            "stop: worker": lambda act: self._freeze_one(self.processes.workers(), act),
            "stop: supervisor": lambda act: self._freeze_one(_one(self.processes.supervisor()), act),
            "stop: fork server": lambda act: self._freeze_one(self.processes.fork_servers(), act),
            "stop: shim": lambda act: self._freeze_one(self.processes.shims(), act),
            "stop: queue server": self._freeze_queue_server,
            "stop: all of the agent": lambda _: self._freeze(self.processes.of_agent()),
            "disk: full": self._fill_disk,
            "restore: queue server": self._restore_queue_server,
            "restore: agent": self._restore_agent,
            "clock: agent": lambda act: self._step_clock("agent", act),
            "clock: queue server": lambda act: self._step_clock("server", act),
            "power: both hosts": lambda act: self._cut_power(act, agent=True, server=True),
            "power: agent's host": lambda act: self._cut_power(act, agent=True, server=False),
            "power: queue server's host": lambda act: self._cut_power(act, agent=False, server=True),
        }

    # -- acts

    def begin(self, act: PlannedAct) -> Undo | None:
        """Do ``act``; returns what undoes it, ``None`` where there was nothing to do it to."""
        group = KINDS[act.kind].group
        if time.monotonic() < self._quiet_until.get(group, 0.0):
            return None
        do = self._act_on_link if group == "link" else self._acts[act.kind]
        undo: Undo | None = None
        with suppress(psutil.NoSuchProcess):
            undo = do(act)
        if undo is None:
            return None
        self.history.append(Done(act.kind, time.monotonic()))
        index = len(self.history) - 1
        return lambda: self._end(index, undo)

    def _end(self, index: int, undo: Undo) -> None:
        undo()
        done, now = self.history[index], time.monotonic()
        self.history[index] = msgspec.structs.replace(done, until=now)
        group = KINDS[done.kind].group
        self._quiet_until[group] = now + QUIET_SECONDS.get(group, 0.0)

    def _signal_one(self, victims: list[psutil.Process], act: PlannedAct, number: signal.Signals) -> Undo | None:
        victim = _pick(victims, act)
        if victim is None:
            return None
        victim.send_signal(number)
        return _nothing

    def _freeze_one(self, victims: list[psutil.Process], act: PlannedAct) -> Undo | None:
        victim = _pick(victims, act)
        return self._freeze([victim]) if victim is not None else None

    def _freeze(self, victims: list[psutil.Process]) -> Undo | None:
        if not victims:
            return None
        for victim in victims:
            self._frozen[victim.pid] += 1
            with suppress(psutil.NoSuchProcess):
                victim.suspend()
        return lambda: self._thaw(victims)

    def _thaw(self, victims: list[psutil.Process]) -> None:
        for victim in victims:
            self._frozen[victim.pid] -= 1
            if not self._frozen[victim.pid]:
                with suppress(psutil.NoSuchProcess):
                    victim.resume()

    def _freeze_queue_server(self, _: PlannedAct) -> Undo | None:
        if not self.queue_server_is_usable():
            return None
        return self._freeze([psutil.Process(self._server.process.pid)])

    def _kill_supervisor(self, _: PlannedAct) -> Undo | None:
        if self.processes.supervisor() is None or self.testbed.agent is None:
            return None
        self.testbed.agent.kill()
        return self._keep_down("supervisor")

    def _kill_queue_server(self, _: PlannedAct) -> Undo | None:
        if not self.queue_server_is_usable():
            return None
        self._server.kill()
        return self._keep_down("queue server")

    def _keep_down(self, *parts: str) -> Undo:
        self._down.update(parts)
        return lambda: self._down.subtract(parts)

    def _kill_shim(self, act: PlannedAct) -> Undo | None:
        shim = _pick(self.processes.shims(), act)
        name = job_of_shim(shim) if shim is not None else None
        if shim is None or name is None:
            return None
        self.killed_shims.add(name)
        shim.kill()
        return _nothing

    def _act_on_link(self, act: PlannedAct) -> Undo | None:
        link = self.link
        if link is None or link.fault is not None:
            return None
        link.fault = act.kind.removeprefix("link: ")
        return link.heal

    def _fill_disk(self, _: PlannedAct) -> Undo | None:
        disk = self.disk
        if disk is None or self._is_full:
            return None
        self._is_full = True
        disk.fill()
        return lambda: self._empty_disk(disk)

    def _empty_disk(self, disk: SmallDisk | LossyDisk) -> None:
        self._is_full = False
        disk.empty()

    def _restore_queue_server(self, act: PlannedAct) -> Undo | None:
        if not self.queue_server_is_usable():
            return None
        self._server.kill()
        snapshot = self.server_snapshots.restore(act.pick)
        if snapshot is not None:
            self.restored.append(snapshot)
        return self._keep_down("queue server")

    def _restore_agent(self, act: PlannedAct) -> Undo | None:
        if self.processes.supervisor() is None or self.testbed.agent is None or self._is_full:
            return None
        self.testbed.agent.kill()
        self.agent_snapshots.restore(act.pick)
        return self._keep_down("supervisor")

    def _step_clock(self, role: str, act: PlannedAct) -> Undo | None:
        clocks = self.clocks
        if clocks is None:
            return None
        clocks.shift(role, STEPS[int(act.pick * len(STEPS))])
        return lambda: clocks.shift(role, 0.0)

    def _cut_power(self, act: PlannedAct, *, agent: bool, server: bool) -> Undo | None:
        if self.power is None or not self.queue_server_is_usable() or self.testbed.agent is None:
            return None
        # On a slow machine jobs would not go on at all if hosts were cut again and again while they start.
        if act.pick > STARTING_SHARE and not self._agent_is_connected():
            return None
        with self.power.cut(act.pick, agent=agent, server=server):
            if agent:
                self.processes.kill_agent()
            if server:
                self._server.process.kill()
        if agent:
            self.testbed.agent.kill()
        if server:
            self._server.kill()
        return self._keep_down(*["supervisor"] * agent, *["queue server"] * server)

    # -- what runs

    def queue_server_is_usable(self) -> bool:
        """Return whether the queue server runs, has answered since its last start, and is not stopped."""
        process = self._server.process
        return not self._starting.is_alive() and process.poll() is None and not self._frozen[process.pid]

    def restart_dead(self) -> None:
        """Start the queue server and the supervisor again, unless an act keeps them down."""
        process = self._server.process
        if not self._down["queue server"] and not self._starting.is_alive() and process.poll() is not None:
            self._starting = threading.Thread(target=self._start_queue_server, daemon=True)
            self._starting.start()
        rested = time.monotonic() - self._started_at > RESTART_SECONDS
        if rested and not self._down["supervisor"] and self.processes.supervisor() is None:
            self._note_exit()
            self._started_at = time.monotonic()
            self.testbed.agent = AgentProcess(self.testbed, self._agent_environment())

    def take_snapshots(self) -> None:
        """Take those that are due, if any act restores them."""
        if self._takes_snapshots and self.queue_server_is_usable():
            self.server_snapshots.take()
        if self._takes_snapshots:
            self.agent_snapshots.take()

    def wait_until_up(self) -> None:
        """Start what is down, and wait until queue server and agent answer."""
        self.restart_dead()
        wait_until(self.queue_server_is_usable, timeout=60, what="the queue server is back")
        wait_until(self._agent_answers, timeout=60, what="the agent answers")

    def knows(self, item_id: str) -> bool:
        """Return whether the agent knows a job of this item, over or not."""
        return bool(self.testbed.ask(command="job", item=item_id)["ok"])

    def outbox(self) -> tuple[int, int]:
        """Return how many rows wait in the agent's outbox, and how many are dead letters."""
        with sqlite3.connect(f"file:{self.testbed.state_dir}/journal.sqlite?mode=ro", uri=True) as journal:
            columns = {row[1] for row in journal.execute("PRAGMA table_info(outbox)")}
            is_dead = "refused_at IS NOT NULL" if "refused_at" in columns else "0"
            dead = journal.execute(f"SELECT coalesce(sum({is_dead}), 0), count(*) FROM outbox").fetchone()
        journal.close()
        return dead[1] - dead[0], dead[0]

    def _agent_answers(self) -> bool:
        self.restart_dead()
        return self.testbed.agent is not None and self.testbed.agent._answers()

    def _agent_is_connected(self) -> bool:
        try:
            status = self.testbed.status()
        except ControlError:
            return False
        return bool(status["agent"]["id"] and status["server"]["reachable"])

    def _start_queue_server(self) -> None:
        # One that is killed while it starts is started again later.
        with suppress(RuntimeError):
            self._server.start()

    def _agent_environment(self) -> dict[str, str]:
        environment = self.clocks.environment("agent") if self.clocks is not None else {}
        # As a service: what starts it again is here, and no service manager listens.
        environment |= {"NOTIFY_SOCKET": str(self.testbed.directory / "no-service-manager")}
        return environment | ({"WANDB_BASE_URL": self.link.url} if self.link is not None else {})

    def _note_exit(self) -> None:
        code = self.testbed.agent.exit_code() if self.testbed.agent is not None else None
        if code is not None and code != -signal.SIGKILL:
            self.unexpected_exits.append(code)


def _one(process: psutil.Process | None) -> list[psutil.Process]:
    return [process] if process is not None else []


def _pick(victims: list[psutil.Process], act: PlannedAct) -> psutil.Process | None:
    return victims[int(act.pick * len(victims))] if victims else None


def _nothing() -> None:
    """Undo nothing: the act was over at once."""
