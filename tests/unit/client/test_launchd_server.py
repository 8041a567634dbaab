"""Every operation against launchd's server: a real one, on a real socket."""

from contextlib import closing
from pathlib import Path

import pytest

from launchd.client.artifacts import download_artifact, upload_directory
from launchd.client.errors import Refused, SecondIncarnation, Unauthorized, UnknownAgent
from launchd.client.queue_server import (
    Ack,
    ClaimedItem,
    HeldByServer,
    HeldItem,
    Item,
    ItemAnswer,
    ItemResult,
    QueueServer,
    Report,
)
from tests.support.lossy_proxy import lossy_proxy
from tests.support.server import RunningServer, fresh_name
from tests.support.threads import IDENTITY
from tests.unit.client.conftest import ENTITY


def queue_and_agent(server: QueueServer) -> tuple[str, str]:
    """A queue, and an agent that serves it."""
    queue = fresh_name("queue")
    queue_id = server.create_queue(ENTITY, queue)
    return queue, server.create_agent(ENTITY, [queue_id], "host", {"max_jobs": 1}, "launchd 1")


def test_no_proxy_is_asked_for_this_machine(
    running: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "main.py").write_text("print()")
    with closing(QueueServer(running.url, running.key)) as server:
        artifact = upload_directory(server, ENTITY, "engine", fresh_name("code"), tmp_path)
        download_artifact(server, artifact, tmp_path / "again")

    assert (tmp_path / "again" / "main.py").read_text() == "print()"


def item_of(server: QueueServer, item_id: str) -> Item:
    item = server.item(item_id)
    assert item is not None
    return item


def test_launchds_server_has_all_capabilities(launchd_server: QueueServer) -> None:
    found = launchd_server.capabilities()

    assert found.launchd_protocol
    assert found.agent_config
    assert found.fail_details
    assert found.push_priority
    assert found.push_key


def test_the_viewer_is_the_owner_of_the_key(launchd_server: QueueServer, running: RunningServer) -> None:
    assert launchd_server.viewer().entity == ENTITY
    with pytest.raises(Unauthorized, match="does not accept the API key"):
        QueueServer(running.url, "x" * 40).viewer()


def test_a_queue_is_made_shown_and_deleted(launchd_server: QueueServer) -> None:
    name = fresh_name("queue")
    launchd_server.create_queue(ENTITY, name, resource="local-process", prioritization="DISABLED")

    shown = launchd_server.queue(ENTITY, name)
    assert shown is not None
    assert (shown.name, shown.resource_type, shown.prioritization_mode) == (name, "local-process", "DISABLED")
    assert (shown.entity_name, shown.pending_count, shown.claimed_count) == (ENTITY, 0, 0)
    assert name in {queue.name for queue in launchd_server.queues(ENTITY)}
    assert name in {queue.name for queue in launchd_server.queue_details(ENTITY)}

    launchd_server.delete_queue(ENTITY, name)
    assert launchd_server.queue(ENTITY, name) is None
    with pytest.raises(Refused, match="There is no queue"):
        launchd_server.delete_queue(ENTITY, name)


def test_a_queue_of_the_same_name_is_refused(launchd_server: QueueServer) -> None:
    name = fresh_name("queue")
    launchd_server.create_queue(ENTITY, name)

    with pytest.raises(Refused, match=name):
        launchd_server.create_queue(ENTITY, name)


def test_an_agent_is_registered_seen_and_asked_to_stop(launchd_server: QueueServer) -> None:
    queue, agent_id = queue_and_agent(launchd_server)
    launchd_server.update_agent(agent_id, "RUNNING")

    agent = launchd_server.agent(agent_id)
    assert agent is not None
    assert (agent.status, agent.hostname, agent.queue_names, agent.stop_polling) == ("RUNNING", "host", (queue,), False)
    assert agent_id in {other.id for other in launchd_server.agents(ENTITY)}

    launchd_server.stop_agent(agent_id)
    assert launchd_server.watch(agent_id, "RUNNING", [], 5.0, "i", []).stop_polling
    assert launchd_server.agent("no-such-agent") is None


def test_an_item_goes_from_push_to_its_end(launchd_server: QueueServer) -> None:
    queue, agent_id = queue_and_agent(launchd_server)
    item_id = launchd_server.push(ENTITY, queue, {"project": "p", "overrides": {"entry_point": ["true"]}}, priority=1)
    assert (item_of(launchd_server, item_id).state, item_of(launchd_server, item_id).priority) == ("PENDING", 1)

    [claimed] = launchd_server.claim(agent_id, "i", "claim1", 4, 1, wait_seconds=0.0).items
    assert isinstance(claimed, ClaimedItem)
    assert (claimed.item_id, claimed.queue, claimed.run_spec["resource"]) == (item_id, queue, "local-process")

    taken = {item_id: ItemResult(item_id, ItemAnswer.TAKEN)}
    assert launchd_server.ack_many(agent_id, [Ack(item_id, "run1", claimed.lease)]) == taken
    running = Report(item_id, 1, "running", "running", occurred_at=1000.0, lease=claimed.lease)
    failed = Report(item_id, 2, "failed", "running", "exit code 3", "run", 3, 1001.0, claimed.lease)
    assert launchd_server.report_many(agent_id, [running]) == taken
    assert launchd_server.report_many(agent_id, [failed]) == taken

    item = item_of(launchd_server, item_id)
    assert (item.state, item.status, item.message, item.stage, item.exit_code) == (
        "FAILED",
        "failed",
        "exit code 3",
        "run",
        3,
    )
    assert launchd_server.run_state(ENTITY, "p", "run1") == "failed"
    assert [item.id for item in launchd_server.queue_items(ENTITY, queue)] == [item_id]
    plain = launchd_server.queue_item(ENTITY, queue, item_id)
    assert plain is not None
    assert plain.associated_run_id == "run1"


def test_a_stop_reaches_the_agent_once(launchd_server: QueueServer) -> None:
    queue, agent_id = queue_and_agent(launchd_server)
    item_id = launchd_server.push(ENTITY, queue, {"project": "p"})
    launchd_server.claim(agent_id, "i", "claim1", 1, 0, wait_seconds=0.0)
    assert launchd_server.ack(item_id, "run1") is True
    assert launchd_server.ack(item_id, "run1") is False

    launchd_server.stop_item(item_id, "enough")

    [stop_request] = launchd_server.watch(agent_id, "RUNNING", [], 5.0, "i", []).stops
    assert (stop_request.item_id, stop_request.reason) == (item_id, "enough")
    assert launchd_server.watch(agent_id, "RUNNING", [item_id], 0.0, "i", []).stops == ()
    assert launchd_server.run_stopped(ENTITY, "p", "run1") is True


def test_an_item_that_waits_is_stopped_or_deleted_at_once(launchd_server: QueueServer) -> None:
    queue, _ = queue_and_agent(launchd_server)
    stopped, deleted = (launchd_server.push(ENTITY, queue, {"project": "p"}) for _ in range(2))

    assert launchd_server.stop_item(stopped, "not needed") == "The item has ended: stopped."
    assert launchd_server.delete_item(ENTITY, queue, deleted)
    assert launchd_server.item(deleted) is None


def test_items_are_returned_and_resumed(launchd_server: QueueServer) -> None:
    queue, agent_id = queue_and_agent(launchd_server)
    items = {launchd_server.push(ENTITY, queue, {"project": "p"}) for _ in range(2)}
    claim = launchd_server.claim(agent_id, "i", "claim1", 2, 0, wait_seconds=0.0)
    first, second = claim.items
    assert {first.item_id, second.item_id} == items

    launchd_server.return_items(agent_id, [first])
    assert item_of(launchd_server, first.item_id).state == "PENDING"
    assert launchd_server.resume_agent(agent_id, IDENTITY, []).returned == (second.item_id,)


def test_a_lease_that_went_back_is_not_returned_again(launchd_server: QueueServer) -> None:
    queue, agent_id = queue_and_agent(launchd_server)
    launchd_server.push(ENTITY, queue, {"project": "p"})
    [first] = launchd_server.claim(agent_id, "i", "claim1", 1, 0, wait_seconds=0.0).items
    launchd_server.return_items(agent_id, [first])
    [second] = launchd_server.claim(agent_id, "i", "claim2", 1, 0, wait_seconds=0.0).items
    assert (first.item_id, first.lease < second.lease) == (second.item_id, True)

    launchd_server.return_items(agent_id, [first])
    assert item_of(launchd_server, first.item_id).state == "LEASED"


def test_an_agent_says_which_process_it_is_and_what_it_holds(launchd_server: QueueServer) -> None:
    queue, _ = queue_and_agent(launchd_server)
    found = launchd_server.queue(ENTITY, queue)
    assert found is not None
    agent_id = launchd_server.create_agent(ENTITY, [found.id], "host", {}, "launchd 1", identity=IDENTITY)
    item_id = launchd_server.push(ENTITY, queue, {"project": "p"})
    [item] = launchd_server.claim(agent_id, IDENTITY.incarnation, "claim1", 1, 0, wait_seconds=0.0).items
    launchd_server.ack_many(agent_id, [Ack(item_id, "run1", item.lease)])

    known = HeldItem(item_id, item.lease, "run1", acknowledged=True)
    watched = launchd_server.watch(agent_id, "RUNNING", [], 0.0, IDENTITY.incarnation, [known])
    assert (watched.unknown_to_agent, watched.must_resume) == ((), False)
    forgotten = launchd_server.watch(agent_id, "RUNNING", [], 5.0, IDENTITY.incarnation, [])
    assert forgotten.unknown_to_agent == (HeldByServer(item_id, item.lease, queue, "run1"),)
    unknown = HeldItem("no-such-item", 1, None, acknowledged=False)
    resumed = launchd_server.resume_agent(agent_id, IDENTITY, [known, unknown])
    assert [(one.item_id, one.answer) for one in resumed.results] == [
        (item_id, ItemAnswer.TAKEN),
        ("no-such-item", ItemAnswer.UNKNOWN),
    ]
    with pytest.raises(SecondIncarnation, match="is another process"):
        launchd_server.watch(agent_id, "RUNNING", [], 0.0, "another", [])
    with pytest.raises(Refused):
        launchd_server.update_agent(agent_id, "KILLED", "another")
    with pytest.raises(UnknownAgent, match="register again"):
        launchd_server.report_many("no-such-agent", [])


def test_an_item_is_failed_and_warned_of(launchd_server: QueueServer) -> None:
    queue, agent_id = queue_and_agent(launchd_server)
    item_id = launchd_server.push(ENTITY, queue, {"project": "p"})
    popped = launchd_server.pop(ENTITY, queue, agent_id)
    assert popped is not None

    assert launchd_server.warn_item(item_id, "slow disk", "run")
    assert launchd_server.fail_item(item_id, "no such image", "build", ["error.log"])

    item = item_of(launchd_server, item_id)
    assert (item.message, item.stage, [warning.message for warning in item.warnings]) == (
        "no such image",
        "build",
        ["slow disk"],
    )


def test_a_push_whose_answer_is_lost_is_repeated_and_queues_one_item(running: RunningServer) -> None:
    with lossy_proxy(running.url) as proxy:
        server = QueueServer(proxy.url, running.key)
        queue, _ = queue_and_agent(server)
        proxy.to_lose["pushToRunQueueByName"] = 2

        item_id = server.push(ENTITY, queue, {"project": "p"})

        assert proxy.asked["pushToRunQueueByName"] == 3
        assert [item.id for item in server.queue_items(ENTITY, queue)] == [item_id]
        server.close()


def test_the_same_key_is_the_same_push(launchd_server: QueueServer) -> None:
    queue, _ = queue_and_agent(launchd_server)
    one, again, other = (launchd_server.push(ENTITY, queue, {"project": "p"}, key=key) for key in ("k", "k", "l"))
    assert one == again != other


def test_a_push_to_a_missing_queue_is_refused_by_name(launchd_server: QueueServer) -> None:
    with pytest.raises(Refused, match="nowhere"):
        launchd_server.push(ENTITY, "nowhere", {"project": "p"})
