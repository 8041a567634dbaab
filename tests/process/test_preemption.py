"""Preempted runs go back into their queue, once each time."""

from tests.support.lossy_proxy import lossy_proxy
from tests.support.server import Api
from tests.support.testbed import QUEUE, Testbed
from tests.support.waiting import assert_stays, wait_until


def resume_counts(testbed: Testbed, run_id: str) -> list[int]:
    """Return the resume count of each item that has become this run."""
    specs = [item.run_spec or {} for item in testbed.client.queue_items(testbed.entity, QUEUE)]
    return sorted(spec.get("_resume_count", 0) for spec in specs if spec.get("run_id") == run_id)


def test_a_preempted_run_is_queued_again_five_times_at_most(testbed: Testbed) -> None:
    testbed.start_agent()
    testbed.push("true", resource="fake", resource_args={"fake": {"preempt": True}}, run_id="prey", sweep_id=None)
    wait_until(lambda: len(resume_counts(testbed, "prey")) == 6, 15.0, "it was queued again five times")
    wait_until(lambda: not testbed.status()["jobs"], what="all attempts are over")
    assert_stays(lambda: resume_counts(testbed, "prey") == [0, 1, 2, 3, 4, 5], 0.7, "the number of attempts")
    assert testbed.status()["counters"]["preempted"] == 6


def test_the_key_of_an_agent_is_enough_for_one(testbed: Testbed) -> None:
    with Api(testbed.server.url, testbed.server.key) as api:
        key = api.mutate("generateApiKey", "key", role="AGENT")["key"]
    testbed.start_agent(WANDB_API_KEY=key)
    item = testbed.push("sh", "-c", "exit 3")
    testbed.wait_over([item])
    assert testbed.item(item).state == "FAILED"
    testbed.push("true", resource="fake", resource_args={"fake": {"preempt": True}}, run_id="prey", _resume_count=4)
    wait_until(lambda: resume_counts(testbed, "prey") == [4, 5], 15.0, "it was put back")
    wait_until(lambda: testbed.outbox() == 0 and not testbed.status()["jobs"], what="all is told")


def test_a_preempted_run_is_queued_again_once_though_the_answer_got_lost(testbed: Testbed) -> None:
    with lossy_proxy(testbed.server.url) as proxy:
        proxy.to_lose["pushToRunQueueByName"] = 1
        testbed.start_agent(WANDB_BASE_URL=proxy.url)
        knobs = {"fake": {"preempt": True}}
        testbed.push("true", resource="fake", resource_args=knobs, run_id="prey", _resume_count=4)
        wait_until(lambda: proxy.lost["pushToRunQueueByName"], what="the answer got lost")
        wait_until(lambda: testbed.outbox() == 0 and not testbed.status()["jobs"], what="all is told")
        assert resume_counts(testbed, "prey") == [4, 5]
        testbed.close()
