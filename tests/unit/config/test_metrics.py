"""Where metrics may be served, as the configuration and the server's options have it."""

from pathlib import Path

import pytest

from launchd.config import ConfigError, from_values
from launchd.server.errors import CannotStart
from launchd.server.metrics_endpoint import listen_for_metrics
from launchd.server.settings import ServerSettings

HOME = {"HOME": "/home/me"}


def test_nothing_is_served_unless_an_address_is_named() -> None:
    assert from_values({"queues": ["q"]}, HOME).config.launchd.metrics.listen is None
    assert listen_for_metrics(ServerSettings(data_dir=Path("/nonexistent"))) is None


def test_an_address_that_other_machines_reach_has_to_be_allowed() -> None:
    values = {"listen": "0.0.0.0:9781"}

    with pytest.raises(ConfigError, match="can be reached from other machines"):
        from_values({"queues": ["q"], "launchd": {"metrics": values}}, HOME)

    read = from_values({"queues": ["q"], "launchd": {"metrics": values | {"remote": True}}}, HOME)
    assert read.config.launchd.metrics.listen == "0.0.0.0:9781"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0:0", "add --metrics-remote"),
        ("metrics:0", "must begin with an address in numbers"),
        ("unix:/nonexistent/metrics.sock", "No such file or directory"),
    ],
)
def test_a_server_refuses_an_address_in_a_sentence(address: str, why: str) -> None:
    with pytest.raises(CannotStart, match=why):
        listen_for_metrics(ServerSettings(data_dir=Path("/nonexistent"), metrics_listen=address))


def test_a_server_listens_where_it_is_told() -> None:
    settings = ServerSettings(data_dir=Path("/nonexistent"), metrics_listen="0.0.0.0:0", metrics_remote=True)

    listening = listen_for_metrics(settings)

    assert listening is not None
    listening.close()
