"""Where the web pages of items and runs are; that they are there is seen with the commands that name them."""

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from launchd.cli.web_pages import item_page, run_page
from launchd.client.base import CURRENT_WANDB
from launchd.client.queue_server import Item, QueueServer
from launchd.client.run_reading import Run

RUN = Run(entity="me", project="a b", id="r1", name="n", state="finished")
ITEM = Item(id="i1", state="PENDING", entity_name="me")


def server(base_url: str, *, own: bool) -> QueueServer:
    capabilities = msgspec.structs.replace(CURRENT_WANDB, launchd_protocol=own)
    return cast(QueueServer, SimpleNamespace(base_url=base_url, capabilities=lambda: capabilities))


@pytest.mark.parametrize(
    ("base_url", "own", "site"),
    [
        ("https://api.wandb.ai", False, "https://wandb.ai"),
        ("https://api.acme.example", False, "https://app.acme.example"),
        ("https://wandb.acme.example", False, "https://wandb.acme.example"),
        ("https://api.acme.example", True, "https://api.acme.example"),
    ],
)
def test_a_run_has_its_page_where_its_server_has_pages(base_url: str, own: bool, site: str) -> None:
    assert run_page(server(base_url, own=own), RUN) == f"{site}/me/a%20b/runs/r1"


def test_an_item_has_a_page_at_launchds_own_server_alone() -> None:
    assert item_page(server("http://q:8780", own=True), ITEM) == "http://q:8780/me/launch/items/i1"
    assert item_page(server("https://api.wandb.ai", own=False), ITEM) is None
