"""Sweeps over HTTP: agents get every point once, states take effect, schedulers are queued."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name
from tests.support.sweeps import GRID, ClientSweep


def finish(run: ClientRun, loss: float) -> None:
    files = {"wandb-summary.json": {"content": [json.dumps({"loss": loss})]}}
    run.stream({"files": files, "complete": True, "exitcode": 0})


def test_two_agents_share_a_grid_and_the_sweep_finishes(api: Api) -> None:
    sweep = ClientSweep(api)
    assert sweep.state == "PENDING"
    agents = [sweep.agent(), sweep.agent()]
    assert sweep.state == "RUNNING"
    started = [sweep.start(agents[turn % 2]) for turn in range(2)]
    assert sweep.beat(agents[0], started[0][0].name) == []
    for run, arguments in started:
        finish(run, arguments["lr"]["value"])
    started.append(sweep.start(agents[0]))
    assert sweep.beat(agents[1]) == [{"type": "exit"}]
    assert sweep.state == "RUNNING"
    finish(started[2][0], 0.5)
    assert sweep.beat(agents[0]) == [{"type": "exit"}]
    assert sorted(arguments["lr"]["value"] for _, arguments in started) == [1, 2, 3]
    asked = sweep.ask(
        "state runCount runCountExpected bestLoss method runs { edges { node { name sweepName config } } }"
    )
    assert (asked["state"], asked["runCount"], asked["runCountExpected"], asked["bestLoss"]) == ("FINISHED", 3, 3, 0.5)
    nodes = [edge["node"] for edge in asked["runs"]["edges"]]
    assert {node["sweepName"] for node in nodes} == {sweep.name}
    assert [json.loads(node["config"])["lr"]["value"] for node in nodes] == [3, 2, 1]


def test_a_run_whose_command_was_lost_is_offered_once_more(api: Api) -> None:
    sweep = ClientSweep(api)
    agent = sweep.agent()
    first = sweep.beat(agent)
    assert sweep.beat(agent) == first
    following = sweep.beat(agent)
    assert following[0]["args"] != first[0]["args"]
    query = 'query($r: String!) { project(name: "proj") { run(name: $r) { state } } }'
    assert api.run(query, {"r": first[0]["run_id"]})["project"]["run"]["state"] == "failed"


def test_a_paused_sweep_gives_nothing_and_a_canceled_one_stops_everything(api: Api) -> None:
    sweep = ClientSweep(api)
    agent = sweep.agent()
    run, _ = sweep.start(agent)
    sweep.set("PAUSED")
    assert sweep.beat(agent) == []
    sweep.set("RUNNING")
    assert sweep.beat(agent, run.name) == []
    sweep.set("CANCELED")
    assert run.stream({})["stopped"] is True
    assert sweep.beat(agent, run.name) == [{"type": "exit"}]
    # The agent kills it on that command.
    assert run.state == "killed"


def test_a_finished_sweep_lets_running_runs_end(api: Api) -> None:
    sweep = ClientSweep(api)
    agent = sweep.agent()
    run, _ = sweep.start(agent)
    sweep.set("FINISHED")
    assert sweep.beat(agent, run.name) == []
    assert run.stream({})["stopped"] is False
    assert sweep.beat(agent) == [{"type": "exit"}]


def test_a_stopped_run_of_a_sweep_is_reported_to_its_agent(api: Api) -> None:
    sweep = ClientSweep(api)
    agent = sweep.agent()
    run, _ = sweep.start(agent)
    api.mutate("stopRun", "success", id=run.id)
    assert sweep.beat(agent, f"me/proj/{run.name}") == [{"type": "stop", "run_id": run.name}]


def test_a_run_that_its_agent_has_stopped_is_killed_at_the_next_heartbeat(api: Api) -> None:
    """The agent ends a run by SIGTERM before it has sent anything."""
    sweep = ClientSweep(api)
    agent, other = sweep.agent(), sweep.agent()
    run, _ = sweep.start(agent)
    bystander, _ = sweep.start(other)
    for one in (run, bystander):
        api.mutate("stopRun", "success", id=one.id)
    assert sweep.beat(agent, run.name) == [{"type": "stop", "run_id": run.name}]
    assert run.state == "running"

    assert sweep.beat(agent)[0]["type"] == "run"

    assert (run.state, bystander.state) == ("killed", "running")


def test_a_sweep_is_finished_with_its_last_run_also_when_no_agent_is_left(api: Api) -> None:
    sweep = ClientSweep(api, GRID.replace("[1, 2, 3]", "[1, 2]"))
    agents = [sweep.agent(), sweep.agent()]
    started = [sweep.start(agent)[0] for agent in agents]
    finish(started[0], 1)
    assert sweep.beat(agents[0]) == [{"type": "exit"}]
    assert sweep.state == "RUNNING"

    finish(started[1], 2)

    assert sweep.state == "FINISHED"


@pytest.mark.parametrize(("goal", "losses"), [("minimize", (0.6, 0.5)), ("maximize", (0.4, 0.5))])
def test_a_sweep_whose_target_is_reached_makes_no_more_runs(api: Api, goal: str, losses: tuple[float, float]) -> None:
    config = GRID.replace("goal: minimize", f"goal: {goal}, target: 0.5")
    sweep = ClientSweep(api, config)
    agent = sweep.agent()
    finish(sweep.start(agent)[0], losses[0])
    finish(sweep.start(agent)[0], losses[1])
    assert sweep.state == "FINISHED"
    assert sweep.beat(agent) == [{"type": "exit"}]


def test_a_random_sweep_ends_at_its_cap(api: Api) -> None:
    sweep = ClientSweep(api, "method: random\nrun_cap: 2\nparameters: {x: {min: 0.0, max: 1.0}}")
    agent = sweep.agent()
    seen = set()
    for _ in range(2):
        run, arguments = sweep.start(agent)
        seen.add(arguments["x"]["value"])
        finish(run, 1)
    assert len(seen) == 2
    assert sweep.beat(agent) == [{"type": "exit"}]
    assert sweep.state == "FINISHED"


def test_a_bayesian_sweep_learns_from_its_runs(api: Api) -> None:
    config = "method: bayes\nmetric: {name: loss, goal: maximize}\nparameters: {x: {min: 0.0, max: 1.0}}"
    sweep = ClientSweep(api, config)
    agent = sweep.agent()
    for _ in range(12):
        run, arguments = sweep.start(agent)
        finish(run, arguments["x"]["value"])
    assert 0.5 < sweep.ask("bestLoss")["bestLoss"] <= 1


def _scheduler(queue_and_agent: QueueAndAgent, **more: object) -> str:
    spec = {
        "uri": "placeholder-uri-scheduler",
        "resource": "local-process",
        "project": "proj",
        "name": "Scheduler.WANDB_SWEEP_ID",
        "run_id": "WANDB_SWEEP_ID",
        "overrides": {"entry_point": ["wandb", "scheduler", "WANDB_SWEEP_ID"], "args": []},
    }
    return json.dumps(
        {"queue": queue_and_agent.queue, "run_queue_project": "model-registry", "run_spec": json.dumps(spec), **more}
    )


def test_a_launched_sweep_queues_its_scheduler(api: Api) -> None:
    queue = fresh_name("queue")
    queue_and_agent = QueueAndAgent(
        queue, api.create_queue(queue, config={"resource_args": {"local-process": {"e": "{{v}}"}}}), ""
    )
    agent = api.create_agent(queue_and_agent.queue_id)
    sweep = ClientSweep(
        api, launchScheduler=_scheduler(queue_and_agent), templateVariableValues="null", state="PENDING"
    )
    answer = api.claim_all(agent, fresh_name("claim"), items=1, schedulers=1)
    (item,) = answer["items"]
    spec = item["runSpec"]
    assert spec["resource"] == "local-process"
    assert (spec["run_id"], spec["name"]) == (sweep.name, f"Scheduler.{sweep.name}")
    assert spec["overrides"]["entry_point"] == ["wandb", "scheduler", sweep.name]
    assert "WANDB_SWEEP_ID" in json.loads(sweep.ask("scheduler")["scheduler"])["run_spec"]
    worker = sweep.agent()
    run, _ = sweep.start(worker)
    sweep.set("FINISHED")
    assert sweep.beat(worker) == []
    assert run.state == "running"


def test_a_sweep_that_cannot_be_leaves_nothing_behind(api: Api, queue_and_agent: QueueAndAgent) -> None:
    count = 'query { project(name: "proj") { totalSweeps } }'
    ClientSweep(api)
    before = api.run(count)
    for values, complaint in (
        ({"config": "method: grid"}, "has no parameters"),
        ({"config": GRID, "launchScheduler": _scheduler(queue_and_agent, queue="nowhere")}, "404"),
        ({"config": GRID, "launchScheduler": _scheduler(queue_and_agent, run_spec="[]")}, "no JSON object"),
        ({"config": GRID, "launchScheduler": "[]"}, "launchScheduler is wrong"),
        ({"config": GRID, "state": "ASLEEP"}, "'ASLEEP' is no state of a sweep"),
        ({"config": GRID, "priorRunsFilters": "[]"}, "must be a JSON object"),
        ({}, "A new sweep needs a config"),
    ):
        with pytest.raises(RefusedByServer, match=complaint):
            api.mutate("upsertSweep", "sweep { name }", projectName="proj", **values)
    assert api.run(count) == before


def test_earlier_runs_can_join_a_sweep(api: Api) -> None:
    run = ClientRun(api)
    sweep = ClientSweep(api, priorRunsFilters=json.dumps({"$or": [{"name": run.name}]}))
    assert run.ask("sweepName") == {"sweepName": sweep.name}


def test_a_grid_leaves_out_points_that_runs_of_the_sweep_have(api: Api) -> None:
    """Runs that joined, and those made before the grid was changed."""
    prior = ClientRun(api, config=json.dumps({"lr": {"value": 2}}))
    finish(prior, 1)
    sweep = ClientSweep(api, priorRunsFilters=json.dumps({"name": prior.name}))
    agent = sweep.agent()

    def start() -> float:
        run, arguments = sweep.start(agent)
        finish(run, 1)
        return float(arguments["lr"]["value"])

    assert start() == 1
    sweep.upsert(id=sweep.id, config=GRID.replace("[1, 2, 3]", "[4.0, 2, 1.0, 3]"))
    assert [start(), start()] == [4, 3]
    assert sweep.beat(agent) == [{"type": "exit"}]
    assert (sweep.state, sweep.ask("runCount runCountExpected")) == (
        "FINISHED",
        {"runCount": 4, "runCountExpected": 4},
    )


def preempt(run: ClientRun) -> None:
    """End it as a client does after `mark_preempting()`."""
    run.stream({"preempting": True})
    run.stream({"complete": True, "exitcode": 1})
    assert run.state == "preempted"


def test_a_preempted_run_is_handed_out_again_before_new_ones(api: Api, queue_and_agent: QueueAndAgent) -> None:
    # The item of another run, which is alive, holds no run but its own.
    item = api.push(queue_and_agent.queue, {"project": "proj"})
    api.claim(queue_and_agent.agent, fresh_name("claim"))
    api.ack(queue_and_agent.agent, item, run=f"of-{item}")
    sweep = ClientSweep(api, GRID.replace("[1, 2, 3]", "[1, 2]"))
    agent, other = sweep.agent(), sweep.agent()
    first, values = sweep.start(agent)
    api.mutate("upsertBucket", "inserted", id=first.id, config=json.dumps(values | {"_wandb": {"value": {}}}))
    preempt(first)

    again = sweep.beat(other)

    assert again == [{"type": "resume", "run_id": first.name, "program": None, "args": values}]
    assert first.state == "pending"
    ClientRun(api, name=first.name, sweep=sweep.name)
    second, _ = sweep.start(agent)
    finish(second, 1)
    preempt(first)
    assert sweep.state == "RUNNING"
    assert sweep.beat(agent)[0]["run_id"] == first.name
    finish(ClientRun(api, name=first.name, sweep=sweep.name), 1)
    assert (sweep.state, sweep.ask("runCount")) == ("FINISHED", {"runCount": 2})


def test_a_preempted_run_that_was_stopped_stays_as_it_is(api: Api) -> None:
    sweep = ClientSweep(api, GRID.replace("[1, 2, 3]", "[1]"))
    agent = sweep.agent()
    run, _ = sweep.start(agent)
    preempt(run)
    api.mutate("stopRun", "success", id=run.id)
    assert sweep.beat(agent) == [{"type": "exit"}]
    assert sweep.state == "FINISHED"


def test_the_point_of_a_deleted_run_is_free_again(api: Api) -> None:
    sweep = ClientSweep(api)
    agent = sweep.agent()
    made = []
    for _ in range(3):
        made.append(sweep.start(agent))
        finish(made[-1][0], 1)
    assert sweep.state == "FINISHED"
    deleted, values = made[1]
    api.mutate("deleteRun", "clientMutationId", id=deleted.id)
    sweep.set("RUNNING")

    again, same = sweep.start(agent)

    assert same == values
    finish(again, 1)
    assert sweep.beat(agent) == [{"type": "exit"}]
    assert (sweep.state, sweep.ask("runCount")) == ("FINISHED", {"runCount": 3})


def test_the_runs_of_a_custom_sweep_come_from_its_scheduler(api: Api, queue_and_agent: QueueAndAgent) -> None:
    config = GRID.replace("grid", "custom")
    with pytest.raises(RefusedByServer, match="needs a job that chooses its values"):
        ClientSweep(api, config)
    with pytest.raises(RefusedByServer, match="start it with wandb launch-sweep"):
        ClientSweep(api, f"{config}scheduler: {{job: me/p/j}}\n").agent()
    spec = json.dumps({"job": "me/proj/scheduler:latest", "resource": "local-process", "run_id": "WANDB_SWEEP_ID"})
    sweep = ClientSweep(api, config, launchScheduler=_scheduler(queue_and_agent, run_spec=spec))
    agent = sweep.agent()
    assert sweep.beat(agent) == []

    made = api.mutate("upsertBucket", "bucket { name }", modelName="proj", entityName="me", sweep=sweep.name)

    query = 'query($r: String!) { project(name: "proj") { run(name: $r) { state sweepName } } }'
    run = api.run(query, {"r": made["bucket"]["name"]})
    assert run["project"]["run"] == {"state": "pending", "sweepName": sweep.name}
    sweep.set("CRASHED")
    assert sweep.state == "CRASHED"


def test_a_wrong_key_of_a_new_sweep_is_refused(api: Api) -> None:
    with pytest.raises(RefusedByServer, match=r"parameters\.lr has both 'value' and 'values'"):
        ClientSweep(api, GRID.replace("values:", "value: 1, values:"))
    sweep = ClientSweep(api, "method: random\nparameters: {x: {value: 1e-3}}")
    assert "1e-3 is read as the number 0.001" in sweep.warnings[0]


def test_sweeps_and_agents_are_listed(api: Api) -> None:
    sweep = ClientSweep(api, "method: random\nname: shown\nparameters: {x: {value: 1}}")
    agent = sweep.agent()
    run, _ = sweep.start(agent)
    query = """query($f: JSONString) { project(name: "proj") { sweeps(filters: $f, first: 2) {
        edges { node { name displayName runCountExpected } } pageInfo { hasNextPage } } } }"""
    listed = api.run(query, {"f": json.dumps({"name": sweep.name})})["project"]["sweeps"]["edges"]
    assert listed == [{"node": {"name": sweep.name, "displayName": "shown", "runCountExpected": None}}]
    asked = sweep.ask(f'agent(agentName: "{agent}") {{ host totalRuns state runs {{ edges {{ node {{ name }} }} }} }}')
    expected = {"host": "h-0", "totalRuns": 1, "state": "RUNNING", "runs": {"edges": [{"node": {"name": run.name}}]}}
    assert asked["agent"] == expected
    assert [edge["node"]["id"] for edge in sweep.ask("agents { edges { node { id } } }")["agents"]["edges"]] == [agent]


def test_an_agent_or_sweep_that_does_not_exist_is_404(api: Api) -> None:
    sweep = ClientSweep(api)
    with pytest.raises(RefusedByServer, match="404: There is no sweep agent"):
        sweep.beat("nobody")
    with pytest.raises(RefusedByServer, match="404: There is no sweep 'none'"):
        api.mutate("createAgent", "agent { id }", host="h", projectName="proj", sweep="none")


@pytest.mark.parametrize("program", ["train.py", None])
def test_an_agent_is_told_which_program_to_run(api: Api, program: str | None) -> None:
    sweep = ClientSweep(api, f"{GRID}program: {program}\n" if program else GRID)

    (command,) = sweep.beat(sweep.agent())

    assert command["program"] == program


def test_a_grid_may_have_more_points_than_an_int_can_count(api: Api) -> None:
    parameters = "".join(f"  p{number}: {{values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}\n" for number in range(60))
    sweep = ClientSweep(api, f"method: grid\nparameters:\n{parameters}")
    assert sweep.ask("runCountExpected") == {"runCountExpected": None}
    _, arguments = sweep.start(sweep.agent())
    assert len(arguments) == 60


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_long_config_keeps_no_writer_waiting(server: RunningServer, api: Api) -> None:
    values = ",".join(["1"] * 30_000)
    queue = fresh_name("queue")
    api.create_queue(queue)

    def make() -> str:
        with server.api() as another:
            return ClientSweep(another, f"method: grid\nparameters: {{x: {{values: [{values}]}}}}").name

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(make)
        written = [api.push(queue) for _ in itertools.takewhile(lambda _: not made.done(), range(1000))]
    assert made.result()
    assert len(written) > 5
