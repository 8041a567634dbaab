"""Runs of a sweep that fall behind the others are stopped, and only those."""

import json
from collections.abc import Sequence

from tests.contract.server.conftest import QueueAndAgent
from tests.support.runs import ClientRun
from tests.support.server import Api, fresh_name
from tests.support.sweeps import ClientSweep

HEAD = "method: random\nparameters: {x: {min: 0.0, max: 1.0}}\n"
BANDS = "early_terminate: {type: hyperband, min_iter: 2, eta: 2}\n"
"""Bands at iterations 2, 4, 8, ...: runs better than the median continue."""
CONFIG = f"{HEAD}metric: {{name: loss, goal: minimize}}\n{BANDS}"


class Racer:
    """A run of a sweep with an agent of its own, which logs one loss at a time."""

    def __init__(self, sweep: ClientSweep) -> None:
        self.agent = sweep.agent()
        self.sweep = sweep
        self.run, _ = sweep.start(self.agent)
        self.logged = 0

    def log(self, *losses: object) -> bool:
        """Whether the server answers that the run is to stop."""
        lines = [json.dumps({"_step": self.logged + place, "loss": loss}) for place, loss in enumerate(losses)]
        files = {"wandb-history.jsonl": {"offset": self.logged, "content": lines}}
        self.logged += len(lines)
        return bool(self.run.stream({"files": files})["stopped"])

    def beat(self) -> list[dict[str, object]]:
        return self.sweep.beat(self.agent, self.run.name)


def commands_of(racers: Sequence[Racer]) -> list[bool]:
    """Whether each one's agent is told to stop its run."""
    told = [racer.beat() for racer in racers]
    stops = [[{"type": "stop", "run_id": racer.run.name}] for racer in racers]
    assert all(commands in ([], stop) for commands, stop in zip(told, stops, strict=True))
    return [bool(commands) for commands in told]


def test_the_run_that_falls_behind_is_stopped_and_no_other(api: Api) -> None:
    sweep = ClientSweep(api, CONFIG)
    assert sweep.warnings == []
    good, fair, bad = (Racer(sweep) for _ in range(3))
    assert good.log(5, 1) is False
    # Of two losses at the first band, 1 and 3, the second is the threshold.
    assert fair.log(5, "NaN", 3) is False
    assert bad.log(5) is False
    assert commands_of([good, fair, bad]) == [False] * 3

    # Of three, 1, 3 and 4, it is still the second.
    assert bad.log(4) is True

    assert commands_of([good, fair, bad]) == [False, False, True]
    assert [racer.run.stream({})["stopped"] for racer in (good, fair, bad)] == [False, False, True]
    bad.run.stream({"complete": True, "exitcode": 143})
    assert bad.run.state == "killed"
    (command,) = sweep.beat(bad.agent)
    assert command["type"] == "run"


def test_a_run_is_judged_by_its_best_or_strictly_by_its_value_at_the_band(api: Api) -> None:
    for strict in (False, True):
        sweep = ClientSweep(api, CONFIG.replace("eta: 2", f"eta: 2, strict: {str(strict).lower()}"))
        good, fair, late = (Racer(sweep) for _ in range(3))
        assert not good.log(1, 1)
        assert not fair.log(3, 3)
        assert late.log(0.5, 4) is strict


def test_the_greater_is_the_better_where_the_sweep_says_so(api: Api) -> None:
    sweep = ClientSweep(api, CONFIG.replace("minimize", "maximize"))
    first, second, third = (Racer(sweep) for _ in range(3))
    assert not first.log(0.1, 0.9)
    assert not second.log(0.1, 0.8)
    assert third.log(0.1, 0.2)
    assert commands_of([first, second, third]) == [False, False, True]


def test_runs_that_ended_earlier_count_also_after_the_rule_was_changed(api: Api) -> None:
    sweep = ClientSweep(api, CONFIG.replace("min_iter: 2", "min_iter: 50"))
    ended = [Racer(sweep), Racer(sweep)]
    for racer, loss in zip(ended, (1, 2), strict=True):
        assert not racer.log(loss, loss)
        racer.run.stream({"complete": True, "exitcode": 0})
    late = Racer(sweep)
    assert not late.log(9, 9)

    sweep.upsert(id=sweep.id, config=CONFIG)

    assert late.beat() == []
    assert late.log(9) is True


def test_a_run_that_joins_with_its_history_counts(api: Api) -> None:
    prior = [ClientRun(api), ClientRun(api)]
    for run, loss in zip(prior, (1, 2), strict=True):
        run.log({"_step": step, "loss": loss} for step in range(3))
    wanted = {"$or": [{"name": run.name} for run in prior]}
    sweep = ClientSweep(api, CONFIG, priorRunsFilters=json.dumps(wanted))
    racer = Racer(sweep)
    assert racer.beat() == []
    assert racer.log(3, 3) is True


def test_a_sweep_that_is_finished_lets_every_run_end(api: Api) -> None:
    sweep = ClientSweep(api, CONFIG)
    good, fair, bad = (Racer(sweep) for _ in range(3))
    assert not good.log(1, 1)
    assert not fair.log(2, 2)
    sweep.set("FINISHED")
    assert not bad.log(3, 3)


def test_a_scheduler_gets_no_stop_but_the_item_of_the_run_is_stopped(api: Api, queue_and_agent: QueueAndAgent) -> None:
    """A scheduler of W&B's takes the stop of a run for one of the whole sweep."""
    spec = {"resource": "local-process", "project": "proj", "run_id": "WANDB_SWEEP_ID", "overrides": {}}
    scheduler = {"queue": queue_and_agent.queue, "run_queue_project": "model-registry", "run_spec": json.dumps(spec)}
    sweep = ClientSweep(api, CONFIG, launchScheduler=json.dumps(scheduler), state="PENDING")
    good, fair, bad = (Racer(sweep) for _ in range(3))
    item = api.push(queue_and_agent.queue, {"project": "proj", "resource": "local-process"})
    assert item in api.claim(queue_and_agent.agent, fresh_name("claim"), items=2)
    assert api.ack(queue_and_agent.agent, item, run=bad.run.name) == [True]
    assert not good.log(1, 1)
    assert not fair.log(2, 2)

    assert bad.log(3, 3) is True

    assert bad.beat() == []
    found = api.item(item)
    assert found is not None
    assert (found["stopRequested"], found["stopReason"]) == (True, "It fell behind the other runs of its sweep.")


def test_a_run_that_goes_back_to_a_step_is_judged_by_what_it_logs_then(api: Api) -> None:
    sweep = ClientSweep(api, CONFIG)
    good, fair, other = (Racer(sweep) for _ in range(3))
    good.log(5, 1)
    fair.log(5, 3)
    assert other.log(5, 0.5, 0.5) is False
    names = {"runName": other.run.name, "projectName": "proj", "entityName": "me"}
    api.mutate("rewindRun", "rewoundRun { name }", metricName="_step", metricValue=0, **names)
    other.logged = 1

    assert other.log(9) is True
