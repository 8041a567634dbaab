"""The addresses of web pages: those of launchd's queue server (`launchd.server.routes.pages`), and W&B's of runs."""

from urllib.parse import quote

from launchd.client.queue_server import Item, QueueServer
from launchd.client.run_reading import Run


def item_page(server: QueueServer, item: Item) -> str | None:
    """Return the address of an item; W&B's server has no page for it."""
    if item.entity_name is None or not server.capabilities().launchd_protocol:
        return None
    return _address(server.base_url, item.entity_name, "launch", "items", item.id)


def run_page(server: QueueServer, run: Run) -> str:
    """Return the address of a run."""
    own = server.capabilities().launchd_protocol
    return _address(server.base_url if own else _wandb_site(server.base_url), run.entity, run.project, "runs", run.id)


def _wandb_site(api: str) -> str:
    """Return where W&B's pages are, by the rule of its client (`wandb.util.api_to_app_url`)."""
    if "://api.wandb." in api:
        return api.replace("://api.", "://", 1)
    return api.replace("://api.", "://app.", 1)


def _address(site: str, *parts: str) -> str:
    return "/".join((site, *(quote(part, safe="") for part in parts)))
