"""The poller: takes what is wanted and never more, from all queues in turn, whatever the server does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from launchd.agent.events import Claimed, Kind, QueueTrouble, Registered, RegistrationRefused
from launchd.agent.server_link.backoff import FIRST_PAUSE_SECONDS
from launchd.agent.server_link.poller import Poller
from launchd.agent.server_link.registration import Application
from launchd.client.queue_server import QueueServer
from tests.support.lossy_proxy import lossy_proxy
from tests.support.recorded_events import Mail
from tests.support.server import Api, RunningServer, fresh_name
from tests.support.threads import claimed_ids, polling, want_one_at_a_time
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_server import Fault, Flavour, WandbServer, wandb_server


@contextmanager
def registered(server: QueueServer, mail: Mail, *queues: str) -> Iterator[Poller]:
    with polling(server, mail, *queues) as poller:
        mail.wait_for(Registered)
        yield poller


def test_no_queue_starves_another(wandb: WandbServer, wandb_client: QueueServer, mail: Mail) -> None:
    for queue in ("a", "a", "a", "b", "b", "b"):
        wandb.push(queue)
    with registered(wandb_client, mail, "a", "b") as poller:
        want_one_at_a_time(poller, mail, 6)
    assert wandb.popped_from == ["a", "b", "a", "b", "a", "b"]


def test_nothing_is_claimed_while_nothing_is_wanted(wandb: WandbServer, wandb_client: QueueServer, mail: Mail) -> None:
    wandb.push("a")
    with registered(wandb_client, mail, "a"):
        assert_stays(lambda: not wandb.asked["popFromRunQueue"], 0.3, "an unasked queue")


def test_what_was_claimed_is_counted_before_more_is_claimed(
    wandb: WandbServer, wandb_client: QueueServer, mail: Mail
) -> None:
    first, second = wandb.push("a"), wandb.push("a")
    with registered(wandb_client, mail, "a") as poller:
        poller.want(Kind.JOB, 1, 0)
        mail.wait_for(Claimed)
        # The main thread has not read that claim yet, so its number is out of date.
        poller.want(Kind.JOB, 1, 0)
        assert_stays(lambda: claimed_ids(mail) == [first], 0.3, "one claim")
        poller.want(Kind.JOB, 1, 1)
        mail.wait_for(Claimed, 2)
    assert claimed_ids(mail) == [first, second]


def test_a_freed_slot_is_a_reason_to_look_at_once(wandb_client: QueueServer, wandb: WandbServer, mail: Mail) -> None:
    application = Application("me", ("a",), {}, "launchd@test")
    poller = Poller(wandb_client, application, mail.inbox, wait_seconds=2.0, poll_seconds=60.0)
    poller.start()
    mail.wait_for(Registered)
    poller.want(Kind.JOB, 1, 0)
    wait_until(lambda: wandb.asked["popFromRunQueue"] == 1, what="the first look")
    wandb.push("a")
    poller.want(Kind.JOB, 2, 0)
    assert len(mail.wait_for(Claimed, timeout=5.0)) == 1
    poller.end()


def test_a_queue_that_is_refused_does_not_stop_the_others(
    wandb: WandbServer, wandb_client: QueueServer, mail: Mail
) -> None:
    wandb.broken_queues.add("a")
    items = [wandb.push(queue) for queue in "abb"]
    with registered(wandb_client, mail, "a", "b") as poller:
        assert want_one_at_a_time(poller, mail, 2) == items[1:]
        assert mail.of(QueueTrouble) == [QueueTrouble("a", "this queue's configuration is broken")]
        wandb.broken_queues.clear()
        poller.want(Kind.JOB, 1, 2)
        mail.wait_for(Claimed, 3)
    assert mail.of(QueueTrouble)[-1] == QueueTrouble("a", None)


def test_after_a_job_the_next_is_asked_for_at_once(wandb: WandbServer, wandb_client: QueueServer, mail: Mail) -> None:
    for _ in range(5):
        wandb.push("a")
    application = Application("me", ("a",), {}, "launchd@test")
    poller = Poller(wandb_client, application, mail.inbox, wait_seconds=2.0, poll_seconds=60.0)
    poller.start()
    mail.wait_for(Registered)
    begun = time.monotonic()
    want_one_at_a_time(poller, mail, 5)
    poller.end()
    # Four pauses would be longer, shortened by chance as they are.
    assert time.monotonic() - begun < 3 * FIRST_PAUSE_SECONDS


def test_a_server_that_names_a_time_is_not_asked_before(
    wandb: WandbServer, wandb_client: QueueServer, mail: Mail
) -> None:
    wandb.push("a")
    wandb.break_operations(Fault.RETRY_AFTER, "popFromRunQueue")
    with registered(wandb_client, mail, "a") as poller:
        begun = time.monotonic()
        poller.want(Kind.JOB, 1, 0)
        mail.wait_for(Claimed)
    assert time.monotonic() - begun >= wandb.retry_after


def test_a_server_that_limits_requests_is_asked_less_often(
    wandb: WandbServer, wandb_client: QueueServer, mail: Mail
) -> None:
    wandb.headers = {"RateLimit-Remaining": "2", "RateLimit-Reset": "10"}
    with registered(wandb_client, mail, "a") as poller:
        poller.want(Kind.JOB, 1, 0)
        wait_until(lambda: wandb.asked["popFromRunQueue"] == 1, what="the first look")
        assert_stays(lambda: wandb.asked["popFromRunQueue"] == 1, 1.5, "the number of looks")


def test_an_old_server_is_polled_without_an_agent(mail: Mail) -> None:
    with wandb_server("a", flavour=Flavour.OLD) as server:
        client = QueueServer(server.url, server.key)
        item = server.push("a")
        with registered(client, mail, "a") as poller:
            assert want_one_at_a_time(poller, mail, 1) == [item]
        assert server.foreign == []
        client.close()


def test_a_missing_queue_is_refused_in_a_sentence(wandb_client: QueueServer, mail: Mail) -> None:
    with polling(wandb_client, mail, "a", "nowhere"):
        refused = mail.wait_for(RegistrationRefused)[0]
    assert "There is no queue nowhere of entity me" in refused.error
    assert "Its queues: a, b." in refused.error
    assert mail.of(Registered) == []


def test_a_poller_that_is_told_to_end_claims_no_more(wandb: WandbServer, wandb_client: QueueServer, mail: Mail) -> None:
    with registered(wandb_client, mail, "a") as poller:
        poller.want(Kind.JOB, 1, 0)
        wait_until(lambda: wandb.asked["popFromRunQueue"] > 0, what="the first look")
    asked = wandb.asked["popFromRunQueue"] + 1
    wandb.push("a")
    wandb.push("a")
    assert_stays(lambda: wandb.asked["popFromRunQueue"] <= asked, 0.4, "the number of questions")


# Our own server.


def test_our_server_is_asked_for_all_free_slots_at_once(api: Api, client: QueueServer, mail: Mail) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue)
    items = [api.push(queue) for _ in range(3)]
    with registered(client, mail, queue) as poller:
        poller.want(Kind.JOB, 2, 0)
        mail.wait_for(Claimed)
        assert claimed_ids(mail) == items[:2]
        poller.want(Kind.JOB, 1, 1)
        mail.wait_for(Claimed, 2)
    assert claimed_ids(mail) == items


def test_jobs_and_schedulers_are_claimed_apart(api: Api, client: QueueServer, mail: Mail) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue)
    scheduler = api.push(queue, {"project": "p", "uri": "placeholder-uri-scheduler"})
    job = api.push(queue)
    with registered(client, mail, queue) as poller:
        poller.want(Kind.JOB, 2, 0)
        assert [item.item_id for item in mail.wait_for(Claimed)[0].items] == [job]
        poller.want(Kind.SCHEDULER, 1, 0)
        mail.wait_for(Claimed, 2)
    assert [(letter.kind, letter.items[0].item_id) for letter in mail.of(Claimed)] == [
        (Kind.JOB, job),
        (Kind.SCHEDULER, scheduler),
    ]


def test_an_answer_of_our_server_that_got_lost_is_given_again(native: RunningServer, api: Api, mail: Mail) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue)
    item = api.push(queue)
    with lossy_proxy(native.url) as proxy:
        proxy.to_lose["ClaimRunQueueItems"] = 2
        client = QueueServer(proxy.url, native.key)
        with registered(client, mail, queue) as poller:
            assert want_one_at_a_time(poller, mail, 1) == [item]
        assert proxy.lost["ClaimRunQueueItems"] == 2
        wait_until(lambda: not poller.is_alive(), what="the poller has ended")
        client.close()
