"""What is logged of the connection to the queue server."""

import logging
import time

import msgspec
import pytest

from launchd.agent.events import Registered, ServerContact
from launchd.agent.server_link.health import ServerHealth
from launchd.client.base import CURRENT_WANDB

TEAM = Registered("agent-1", "name", "vision", ("a",), CURRENT_WANDB, for_team=True)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(record)["entity"] for record in caplog.records if record.levelno == logging.WARNING]


def test_a_team_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    health = ServerHealth()
    health.note_registration(TEAM)
    health.note_registration(TEAM)

    assert warnings(caplog) == ["vision"]
    health.note_registration(msgspec.structs.replace(TEAM, entity="audio"))
    assert warnings(caplog) == ["vision", "audio"]


def test_a_persons_own_entity_is_nothing_to_warn_of(caplog: pytest.LogCaptureFixture) -> None:
    ServerHealth().note_registration(msgspec.structs.replace(TEAM, for_team=False))

    assert warnings(caplog) == []


def test_silence_is_measured_whatever_the_wall_clock_does() -> None:
    health = ServerHealth()
    assert health.seconds_since_answer is None
    assert health.was_reached_within(60.0)
    health.note_contact(ServerContact(at=4_000_000_000.0))
    assert health.was_reached_within(60.0)
    assert 0 <= (health.seconds_since_answer or 0.0) < 60
    health.note_contact(ServerContact(at=0.0))
    assert health.was_reached_within(60.0)
    health.note_contact(ServerContact(at=0.0, error="It is away."))
    time.sleep(0.02)
    assert not health.was_reached_within(0.01)


def test_a_refusal_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    health = ServerHealth()
    for refusal in ("wrong key", "wrong key", "no queue", "no queue"):
        health.note_refusal(refusal)
    assert [vars(record)["why"] for record in caplog.records] == ["wrong key", "no queue"]
    began = time.monotonic()
    for seconds in (59, 61, 62, 122):
        monkeypatch.setattr("launchd.agent.server_link.health.time.monotonic", lambda seconds=seconds: began + seconds)
        health.note_refusal("no queue")
    assert [vars(record)["why"] for record in caplog.records] == ["wrong key", *["no queue"] * 3]
