"""What is logged of the connection to the queue server."""

import logging

import msgspec
import pytest

from launchd.agent.events import Registered
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
