"""What is said of an item or a run that ended without success."""

import pytest

from launchd.api.item_status import describe_ending


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("It broke.", "failed at stage run: It broke."),
        ("It broke", "failed at stage run: It broke."),
        ("No such flag. Did you mean privileged?", "failed at stage run: No such flag. Did you mean privileged?"),
        (None, "failed at stage run."),
    ],
)
def test_a_sentence_has_one_end(message: str | None, said: str) -> None:
    assert describe_ending("failed", "run", message) == said
