"""A real browser, Chromium, at the web pages of a queue server."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, expect, sync_playwright

from tests.support.parts import missing_part
from tests.support.waiting import patience

PROGRAM = "chromium"
#: It reaches nothing but the test's server; its own sandbox wants rights that containers lack.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WAIT_SECONDS = 15.0

NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
LOADS = 5


class Visitor:
    """Somebody with a browser of their own: nothing that another visitor's browser keeps is in it.

    What goes wrong within a page is in ``mistakes``: exceptions, refusals of its content security policy. An answer of
    the server that is no success is none.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.mistakes: list[str] = []
        self._lost = 0
        self.context = browser.new_context()
        self.context.set_default_timeout(patience(WAIT_SECONDS) * 1000)
        self.page = self.new_tab()

    def new_tab(self) -> Page:
        """Open one more tab of this browser."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.mistakes.append(str(error)))
        page.on("console", self._note)
        page.on("requestfailed", self._count_lost)
        return page

    def open(self, path: str = "/") -> Page:
        """Go to an address of the server."""
        self._load(lambda: self.page.goto(f"{self.url}{path}"))
        return self.page

    def reload(self) -> None:
        """Load the page anew."""
        self._load(self.page.reload)

    def sign_in(self, key: str, path: str = "/") -> Page:
        """Go to an address and sign in there."""
        page = self.open(path)
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Sign out").wait_for()
        return page

    def _load(self, action: Callable[[], object]) -> None:
        """Load a page, again where the browser lost a part of it.

        Chromium gives up what is under way when the machine gets or loses a network, which tests with containers make.
        """
        for _ in range(LOADS):
            lost = self._lost
            try:
                action()
            except Error as error:
                if NETWORK_CHANGED not in error.message:
                    raise
            else:
                if self._lost == lost:
                    return

    def _count_lost(self, request: Request) -> None:
        self._lost += NETWORK_CHANGED in (request.failure or "")

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.mistakes.append(message.text)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser for some tests. Skips where there is none."""
    program = shutil.which(PROGRAM)
    if program is None:
        missing_part("The web pages are tried in Chromium (Debian: apt-get install chromium), which is missing here.")
    expect.set_options(timeout=patience(WAIT_SECONDS) * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()
