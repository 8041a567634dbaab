"""Browsers at the queue server of the run; a page in which something goes wrong fails its test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.accounts import Accounts, make_accounts
from tests.support.browsers import Visitor, running_browser
from tests.support.gate import Gate
from tests.support.server import Account, RunningServer

Visit = Callable[[], Visitor]


# Of a module, as Playwright has an event loop in this thread meanwhile: a test beside it could run none.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture
def visit(browser: Browser, account: Account) -> Iterator[Visit]:
    """Start a browser of its own."""
    visitors: list[Visitor] = []

    def start() -> Visitor:
        visitors.append(Visitor(browser, account.url))
        return visitors[-1]

    yield start
    for visitor in visitors:
        visitor.context.close()
    assert [mistake for visitor in visitors for mistake in visitor.mistakes] == []


@pytest.fixture
def visitor(visit: Visit) -> Visitor:
    return visit()


@pytest.fixture
def accounts(queue_server: RunningServer) -> Iterator[Accounts]:
    with make_accounts(queue_server) as made:
        yield made


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Jobs wait at it until the test opens it."""
    return Gate(tmp_path / "gate")
