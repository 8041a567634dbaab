"""What the server holds as an agent's and what the agent knows: compared at each heartbeat, settled when it resumes."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.server import SHARED, Api, RefusedByServer, RunningServer, running_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.dialect

TIMEOUT = 1.0


def held(item: str, lease: int, run: str = "r", *, acknowledged: bool = True) -> dict[str, object]:
    return {"runQueueItemId": item, "lease": lease, "runName": run, "acknowledged": acknowledged}


def leased(api: Api, agent: str, claim: str = "c", **more: object) -> tuple[str, int]:
    [item] = api.claim_all(agent, claim, **more)["items"]  # type: ignore[arg-type]
    return item["runQueueItemId"], item["lease"]


def acknowledged(api: Api, agent: str, claim: str = "c", **more: object) -> tuple[str, int]:
    item, lease = leased(api, agent, claim, **more)
    assert api.results_of_acks(agent, {"runQueueItemId": item, "lease": lease, "runName": "r"})[0]["success"]
    return item, lease


def answers(resumed: dict[str, object]) -> list[str]:
    return [one["answer"] for one in resumed["results"]]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def hasty(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:  # noqa: ARG001
    """A server whose agents are lost after a second."""
    directory = tmp_path_factory.mktemp("hasty")
    with running_server(directory, "--agent-timeout-seconds", str(TIMEOUT)) as server, server.api() as api:
        yield api


def test_an_item_that_the_agent_does_not_know_is_told_at_each_heartbeat_without_haste(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    """The state directory is older than the server: an acknowledged item of which the journal knows nothing."""
    api.push(queue_and_agent.queue)
    leased(api, queue_and_agent.agent, "before")
    api.push(queue_and_agent.queue)
    item, lease = acknowledged(api, queue_and_agent.agent)
    unknown = [{"runQueueItemId": item, "lease": lease, "queueName": queue_and_agent.queue, "runName": "r"}]
    began = time.monotonic()
    assert api.watch(queue_and_agent.agent, wait=20)["unknownToAgent"] == unknown
    assert time.monotonic() - began < 10, "a new difference ends the wait"
    began = time.monotonic()
    assert api.watch(queue_and_agent.agent, wait=1)["unknownToAgent"] == unknown
    assert time.monotonic() - began >= 1, "a difference that was told does not"
    assert api.resume(queue_and_agent.agent)["unknownToAgent"] == unknown
    answer = api.watch(queue_and_agent.agent, held(item, lease))
    assert (answer["unknownToAgent"], answer["mustResume"]) == ([], False)
    assert api.watch(queue_and_agent.agent, held(item, 0))["unknownToAgent"] == [], "from an earlier journal"
    assert api.watch(queue_and_agent.agent, held(item, lease - 1))["unknownToAgent"] == unknown


def test_a_leased_item_that_the_agent_does_not_know_goes_back(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue)
    leased(api, queue_and_agent.agent)
    assert api.watch(queue_and_agent.agent)["unknownToAgent"] == []
    assert api.resume(queue_and_agent.agent)["returned"] == [item]
    assert api.state(item) == "PENDING"


def test_each_held_item_has_its_answer(api: Api, queue_and_agent: QueueAndAgent) -> None:
    agent, other = queue_and_agent.agent, api.create_agent(queue_and_agent.queue_id)
    for _ in range(4):
        api.push(queue_and_agent.queue)
    mine, over, lost, waiting = (
        acknowledged(api, agent, f"c{n}") if n < 2 else leased(api, agent, f"c{n}") for n in range(4)
    )
    api.report(agent, over[0], 1, "finished")
    api.mutate("returnRunQueueItems", "returned", launchAgentId=agent, runQueueItemIds=[lost[0], waiting[0]])
    assert leased(api, other)[0] == lost[0]
    shown = [
        held(*mine),
        held(*over),
        held(*lost, acknowledged=False),
        held(*waiting, acknowledged=False),
        held("nosuchitem", 1),
    ]
    assert api.watch(agent, *shown)["mustResume"] is False, "nothing that resuming would change"
    assert answers(api.resume(agent, *shown)) == ["TAKEN", "OVER", "LEASE_ENDED", "LEASE_ENDED", "UNKNOWN"]
    assert (api.state(lost[0]), api.state(waiting[0])) == ("LEASED", "PENDING")


def test_an_agent_that_registers_anew_takes_its_jobs_along(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue)
    _, lease = acknowledged(api, queue_and_agent.agent)
    anew = api.create_agent(queue_and_agent.queue_id)
    resumed = api.resume(anew, held(item, lease), previousAgentIds=[queue_and_agent.agent, "nosuchagent"])
    assert answers(resumed) == ["TAKEN"]
    found = api.item(item)
    assert found is not None
    assert (found["state"], found["launchAgentId"]) == ("CLAIMED", anew)
    assert api.results_of_reports(anew, {"runQueueItemId": item, "lease": lease, "sequence": 1, "status": "finished"})[
        0
    ]["success"]
    assert api.agent_status(queue_and_agent.agent) == "KILLED"


@pytest.mark.parametrize("machine", ["m-same", "m-other"])
def test_an_agent_without_a_journal_takes_the_jobs_of_its_state_directory(
    api: Api, queue_and_agent: QueueAndAgent, machine: str
) -> None:
    """The journal was lost: no earlier agent is named, and the one before has left, or is silent for long."""
    before = api.create_agent(queue_and_agent.queue_id, incarnation="i1", machineId="m-same")
    item = api.push(queue_and_agent.queue)
    _, lease = acknowledged(api, before)
    anew = api.create_agent(queue_and_agent.queue_id, incarnation="i2", machineId=machine)
    assert api.watch(anew, incarnation="i2", wait=0)["mustResume"] is False, "the one before lives"
    api.mutate("updateLaunchAgent", "success", launchAgentId=before, agentStatus="KILLED", incarnation="i1")
    is_same = machine == "m-same"
    assert api.watch(anew, incarnation="i2", wait=0)["mustResume"] is is_same
    unknown = api.resume(anew, incarnation="i2", machineId=machine)["unknownToAgent"]
    assert [(one["runQueueItemId"], one["lease"]) for one in unknown] == ([(item, lease)] if is_same else [])
    known = [held(item, lease)] if is_same else []
    assert api.watch(anew, *known, incarnation="i2", wait=0)["mustResume"] is False


def test_resuming_updates_the_version_and_the_host(api: Api, queue_and_agent: QueueAndAgent) -> None:
    api.resume(queue_and_agent.agent, version="9.9", hostname="moved")
    query = "query($id: ID!) { launchAgent(id: $id) { version hostname } }"
    assert api.run(query, {"id": queue_and_agent.agent})["launchAgent"] == {"version": "9.9", "hostname": "moved"}


@pytest.mark.parametrize("request_kind", ["watch", "claim", "ack", "report", "resume", "return"])
def test_an_unknown_agent_is_told_to_register_anew(api: Api, request_kind: str) -> None:
    requests = {
        "watch": lambda: api.watch("nosuch"),
        "claim": lambda: api.claim("nosuch", "c"),
        "ack": lambda: api.ack("nosuch", "item"),
        "report": lambda: api.report("nosuch", "item", 1, "running"),
        "resume": lambda: api.resume("nosuch"),
        "return": lambda: api.mutate("returnRunQueueItems", "returned", launchAgentId="nosuch", runQueueItemIds=[]),
    }
    with pytest.raises(RefusedByServer, match="404: There is no launch agent") as refused:
        requests[request_kind]()
    assert refused.value.codes == ["UNKNOWN_AGENT"]


def test_the_next_process_of_an_agent_takes_the_place_of_the_one_before(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    agent = api.create_agent(queue_and_agent.queue_id, incarnation="i1", machineId="m1")
    api.resume(agent, incarnation="i2", previousIncarnation="i1", machineId="m1")
    api.resume(agent, incarnation="i2", previousIncarnation="i1", machineId="m1")
    api.watch(agent, incarnation="i2")
    with pytest.raises(RefusedByServer, match="is another process, on host 'host1' since 2") as refused:
        api.watch(agent, incarnation="i1")
    assert (refused.value.status, refused.value.codes) == (409, ["SECOND_INCARNATION"])
    claim = {"claimId": "c", "maxItems": 1, "maxSchedulers": 0, "waitSeconds": 0}
    with pytest.raises(RefusedByServer) as refused:
        api.mutate("claimRunQueueItems", "stopPolling", launchAgentId=agent, incarnation="i1", **claim)
    assert refused.value.codes == ["SECOND_INCARNATION"]


@pytest.mark.parametrize(
    ("identity", "why"),
    [
        ({"incarnation": "i9", "previousIncarnation": "i0"}, "a snapshot of the state directory, restored elsewhere"),
        ({"incarnation": "i9", "previousIncarnation": "i1", "machineId": "m2"}, "a copy, on another machine"),
    ],
)
def test_a_copied_state_directory_does_not_become_a_living_agent(
    hasty: Api, identity: dict[str, str], why: str
) -> None:
    queue = hasty.create_queue(f"copied{len(why)}")
    agent = hasty.create_agent(queue, incarnation="i1", machineId="m1")
    anew = hasty.create_agent(queue, incarnation="i9")
    for act in (
        lambda: hasty.resume(agent, **identity),
        lambda: hasty.resume(anew, previousAgentIds=[agent], **identity),
    ):
        hasty.watch(agent, incarnation="i1")
        with pytest.raises(RefusedByServer, match="Two agents use copies of one state directory") as refused:
            act()
        assert refused.value.codes == ["SECOND_INCARNATION"]
    wait_until(lambda: silence_of(hasty, agent) > TIMEOUT, what="the silence of the first")
    assert hasty.resume(agent, **identity)["success"], "asking for the agent has not kept it living"


def silence_of(api: Api, agent: str) -> float:
    query = "query($id: ID!) { launchAgent(id: $id) { secondsSinceHeartbeat } }"
    return float(api.run(query, {"id": agent})["launchAgent"]["secondsSinceHeartbeat"])


def test_a_heartbeat_on_its_way_does_not_undo_a_departure_and_resuming_does(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    agent = api.create_agent(queue_and_agent.queue_id, incarnation="i1")
    leave = {"launchAgentId": agent, "agentStatus": "KILLED"}
    assert api.mutate("updateLaunchAgent", "success", incarnation="i0", **leave) == {"success": False}
    assert api.agent_status(agent) == "POLLING", "a departure of the process before this one"
    api.mutate("updateLaunchAgent", "success", incarnation="i1", **leave)
    assert api.watch(agent, incarnation="i1")["mustResume"] is True
    assert api.agent_status(agent) == "KILLED"
    api.push(queue_and_agent.queue)
    assert api.claim(agent, "c1") == [], "who has left acknowledges nothing"
    api.resume(agent, incarnation="i1")
    assert api.agent_status(agent) == "POLLING"
    assert len(api.claim(agent, "c2")) == 1


class TestRestored:
    """The server's database is older than what its agents know."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[RunningServer]:
        with running_server(tmp_path) as running:
            yield running

    def test_what_still_runs_is_its_agents_again_and_nobody_elses(self, server: RunningServer) -> None:
        with server.api() as api:
            queue = api.create_queue("q")
            agent = api.create_agent(queue, incarnation="a1")
            other = api.create_agent(queue, incarnation="b1")
            running, waiting = api.push("q"), api.push("q")
            server.restart()
            # As if it had been acknowledged after the copy was made.
            shown = held(running, 500)
            assert api.watch(agent, shown, incarnation="a1")["mustResume"] is True
            resumed = api.resume(agent, shown, incarnation="a2", previousIncarnation="a1")
            assert (answers(resumed), api.state(running)) == (["TAKEN"], "CLAIMED")
            assert api.watch(agent, shown, incarnation="a2")["mustResume"] is False
            assert api.claim(agent, "c1") == [], "claims pause until the other agent is heard"
            assert api.pop("q") is None
            assert api.watch(other, incarnation="b1")["mustResume"] is False
            item, lease = leased(api, agent, "c2", wait=15)
            assert (item, lease > 500) == (waiting, True)

    @pytest.mark.parametrize("store", ["sqlite"], indirect=True)
    def test_a_file_that_was_put_back(self, server: RunningServer, tmp_path: Path) -> None:
        with server.api() as api:
            agent = api.create_agent(api.create_queue("q"), incarnation="a1")
            item = api.push("q")
            server.stop()
            shutil.copy(server.data_dir / "server.sqlite", tmp_path)
            server.start()
            _, lease = acknowledged(api, agent)
            server.stop()
            shutil.copy(tmp_path / "server.sqlite", server.data_dir)
            server.start()
            assert api.state(item) == "PENDING"
            assert api.claim(agent, "c1") == [], "a lease was given that this database does not know"
            assert api.watch(agent, held(item, lease), incarnation="a1")["mustResume"] is True
            assert answers(api.resume(agent, held(item, lease), incarnation="a1")) == ["TAKEN"]
            assert api.claim(agent, "c2") == []
            [result] = api.results_of_reports(
                agent, {"runQueueItemId": item, "lease": lease, "sequence": 1, "status": "finished"}
            )
            assert (result["answer"], api.state(item)) == ("TAKEN", "FINISHED")

    @pytest.mark.parametrize("number", [1, 500], ids=["known", "never given"])
    def test_claims_pause_from_the_heartbeat_on_that_shows_it(self, server: RunningServer, number: int) -> None:
        """What one heartbeat shows to be a restored database is not leased to others until its agent has resumed."""
        with server.api() as api:
            queue = api.create_queue("q")
            agent, other = api.create_agent(queue, incarnation="a1"), api.create_agent(queue, incarnation="b1")
            item = api.push("q")
            server.restart()
            assert api.watch(other, incarnation="b1")["mustResume"] is False
            # A heartbeat from before the item's claim that arrives now says nothing of it.
            assert api.watch(agent, incarnation="a1")["mustResume"] is False
            # An item that waits here, and was acknowledged after the copy was made.
            assert api.watch(agent, held(item, number), incarnation="a1")["mustResume"] is True
            assert api.claim(other, "c1") == []
            assert answers(api.resume(agent, held(item, number), incarnation="a1")) == ["TAKEN"]
            assert api.state(item) == "CLAIMED"

    def test_an_acknowledgement_that_was_forgotten_is_made_good_while_the_lease_goes_on(
        self, server: RunningServer
    ) -> None:
        """The copy was made between lease and acknowledgement."""
        with server.api() as api:
            agent = api.create_agent(api.create_queue("q"), incarnation="a1")
            item = api.push("q")
            _, lease = leased(api, agent)
            server.restart()
            assert api.watch(agent, held(item, lease, acknowledged=False), incarnation="a1")["mustResume"] is False
            assert api.watch(agent, held(item, lease), incarnation="a1")["mustResume"] is True
            assert answers(api.resume(agent, held(item, lease), incarnation="a1")) == ["TAKEN"]
            assert api.state(item) == "CLAIMED"

    def test_an_outcome_that_arrives_first_counts(self, server: RunningServer) -> None:
        with server.api() as api:
            agent = api.create_agent(api.create_queue("q"))
            done, acked = api.push("q"), api.push("q")
            [result] = api.results_of_reports(
                agent, {"runQueueItemId": done, "lease": 700, "sequence": 4, "status": "finished", "exitCode": 0}
            )
            assert (result["answer"], api.state(done)) == ("TAKEN", "FINISHED")
            [result] = api.results_of_acks(agent, {"runQueueItemId": acked, "lease": 701, "runName": "r"})
            assert (result["answer"], api.state(acked)) == ("TAKEN", "CLAIMED")

    def test_an_outcome_counts_also_where_later_numbers_were_shown_before_it(self, server: RunningServer) -> None:
        """A heartbeat of the agent, or a report of another item, has raised the counter above the lease's number."""
        with server.api() as api:
            agent = api.create_agent(api.create_queue("q"), incarnation="a1")
            done, later = api.push("q"), api.push("q")
            api.resume(agent, held(later, 900), incarnation="a1")
            [result] = api.results_of_reports(
                agent, {"runQueueItemId": done, "lease": 700, "sequence": 4, "status": "finished", "exitCode": 0}
            )
            assert (result["answer"], api.state(done)) == ("TAKEN", "FINISHED")

    def test_a_number_that_nobody_can_have_is_not_believed(self, server: RunningServer) -> None:
        with server.api() as api:
            agent = api.create_agent(api.create_queue("q"))
            item = api.push("q")
            assert answers(api.resume(agent, held(item, 2**53, acknowledged=False))) == ["LEASE_ENDED"]
            assert leased(api, agent)[1] < 100


def test_a_server_that_starts_after_a_silence_lets_its_agents_come_back_first(tmp_path: Path) -> None:
    options = ("--agent-timeout-seconds", "0.2")
    with running_server(tmp_path, *options) as server, server.api() as api:
        agent = api.create_agent(api.create_queue("q"), incarnation="a1")
        item = api.push("q")
        wait_until(lambda: silence_of(api, agent) > 0.3, what="silence")
        server.restart()
        assert (api.claim(agent, "c1"), api.pop("q")) == ([], None), "an agent may have it that the copy does not know"
        assert api.claim(agent, "c2", wait=20) == [item]


def test_that_can_be_turned_off(tmp_path: Path) -> None:
    options = ("--agent-timeout-seconds", "0.2", *SHARED)
    with running_server(tmp_path, *options) as server, server.api() as api:
        agent = api.create_agent(api.create_queue("q"), incarnation="a1")
        item = api.push("q")
        wait_until(lambda: silence_of(api, agent) > 0.3, what="silence")
        server.restart()
        assert api.claim(agent, "c1") == [item]
