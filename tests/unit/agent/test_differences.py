"""What counts of the differences between agent and server that answers to heartbeats say."""

from launchd.agent.server_link.differences import REPEAT_SECONDS, Confirmed, Differences
from launchd.client.queue_server import AgentCommands, HeldByServer

ONE, TWO = HeldByServer("one", 1, "q", "r"), HeldByServer("two", 2, "q", "s")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def unknown(*items: HeldByServer) -> AgentCommands:
    return AgentCommands(unknown_to_agent=items)


def test_an_item_counts_at_the_second_answer_in_a_row() -> None:
    differences = Differences(Clock())
    assert differences.note(unknown(ONE)) == Confirmed()
    assert differences.is_in_doubt
    assert differences.note(unknown(TWO)) == Confirmed()
    assert differences.note(unknown(ONE, TWO)) == Confirmed((TWO,))
    assert differences.note(unknown(ONE, TWO)) == Confirmed((ONE, TWO))
    assert not differences.is_in_doubt


def test_another_lease_of_an_item_is_another_difference() -> None:
    differences = Differences(Clock())
    differences.note(unknown(ONE))
    assert differences.note(unknown(HeldByServer("one", 3, "q", "r"))) == Confirmed()


def test_what_stays_is_told_again_after_a_pause() -> None:
    clock = Clock()
    differences = Differences(clock)
    differences.note(unknown(ONE))
    assert differences.note(unknown(ONE)) == Confirmed((ONE,))
    for _ in range(3):
        assert differences.note(unknown(ONE)) == Confirmed()
        assert not differences.is_in_doubt
    clock.now += REPEAT_SECONDS
    assert differences.note(unknown(ONE)) == Confirmed((ONE,))


def test_what_was_settled_and_comes_again_is_new() -> None:
    differences = Differences(Clock())
    differences.note(unknown(ONE))
    differences.note(unknown(ONE))
    assert differences.note(unknown()) == Confirmed()
    assert not differences.is_in_doubt
    assert differences.note(unknown(ONE)) == Confirmed()
    assert differences.note(unknown(ONE)) == Confirmed((ONE,))


def test_to_resume_counts_at_the_second_answer_in_a_row() -> None:
    differences = Differences(Clock())
    for must_resume, counts, in_doubt in [
        (True, False, True),
        (False, False, False),
        (True, False, True),
        (True, True, False),
        (True, True, False),
    ]:
        assert differences.note(AgentCommands(must_resume=must_resume)).must_resume is counts
        assert differences.is_in_doubt is in_doubt
