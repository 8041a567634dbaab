"""Sending alerts of runs on, to a webhook or by mail, as the server's administrator has configured.

One at a time and beside the requests: an alert is kept whether or not it can be sent on, and a receiver that is slow or
away costs no request more than a place in a short list. Where it goes is the administrator's choice alone: nothing that
a user wrote is part of an address, and no redirect is followed.
"""

import asyncio
import logging
import re
import smtplib
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import msgspec

from launchd.server.errors import CannotStart

logger = logging.getLogger(__name__)

_MOST_WAITING = 1000
_TRIES = 3
_PAUSE_SECONDS = 5.0
_TIMEOUT_SECONDS = 10.0
_SMTP_PORT = 25
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class AlertToSend(msgspec.Struct, frozen=True):
    """What the receiver is told. `text` is all of it in words, under the name that chat programs read."""

    entity: str
    project: str
    run: str
    title: str
    message: str
    severity: str

    @property
    def subject(self) -> str:
        """One line that says which run sent what."""
        return _UNFIT.sub(" ", f"[{self.severity}] {self.title} ({self.entity}/{self.project}/{self.run})")

    @property
    def as_json(self) -> bytes:
        """The body of a webhook's request."""
        return msgspec.json.encode(msgspec.structs.asdict(self) | {"text": f"{self.subject}\n{self.message}"})


Deliver = Callable[[AlertToSend], None]


class AlertSender:
    """A list of alerts and the task that sends them on, each by every way that is configured."""

    def __init__(self, webhook: str | None, mail_to: str | None, smtp: str) -> None:
        """Raises:
        CannotStart: the webhook is no http address, or the mail server is not HOST or HOST:PORT.
        """
        self._ways: list[tuple[str, Deliver]] = []
        if webhook is not None:
            self._ways.append(("webhook", _poster(webhook)))
        if mail_to is not None:
            self._ways.append(("mail", _mailer(mail_to, smtp)))
        self._waiting: asyncio.Queue[AlertToSend] = asyncio.Queue(_MOST_WAITING)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task, if there is a way to send anything. Needs a running event loop."""
        if self._ways:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Stop the task. What still waits is not sent; it is kept with its run."""
        if self._task is not None:
            self._task.cancel()

    def send(self, alert: AlertToSend) -> None:
        """Send it soon. Where more wait than the list holds, it is not sent, and the log says so."""
        if self._task is None:
            return
        try:
            self._waiting.put_nowait(alert)
        except asyncio.QueueFull:
            logger.warning("Too many alerts wait to be sent on; this one is only kept.", extra={"run": alert.run})

    async def _run(self) -> None:
        while True:
            alert = await self._waiting.get()
            for way, deliver in self._ways:
                await _try(way, deliver, alert)


async def _try(way: str, deliver: Deliver, alert: AlertToSend) -> None:
    for left in reversed(range(_TRIES)):
        try:
            await asyncio.to_thread(deliver, alert)
        except Exception as error:  # noqa: BLE001 - any error of a receiver or its address costs this alert alone
            # Of the error its kind alone: its text may hold the webhook's address, which is a secret.
            fields = {"way": way, "run": alert.run, "error": _kind_of(error), "tries_left": left}
            logger.warning("An alert of a run could not be sent on.", extra=fields)
        else:
            return
        if left:
            await asyncio.sleep(_PAUSE_SECONDS)


def _kind_of(error: Exception) -> str:
    return f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for a failure: it would lead where the administrator has not chosen to send."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _poster(url: str) -> Deliver:
    """Return what posts an alert to a webhook as JSON."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CannotStart("The webhook for alerts must be an address that begins with http:// or https://.")
    opener = urllib.request.build_opener(_NoRedirects)

    def post(alert: AlertToSend) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "launchd"}
        request = urllib.request.Request(url, alert.as_json, headers)  # noqa: S310 - the scheme was checked
        with opener.open(request, timeout=_TIMEOUT_SECONDS):
            pass

    return post


def _mailer(to: str, smtp: str) -> Deliver:
    """Return what mails an alert by a mail server that needs no login."""
    host, _, port_text = smtp.partition(":")
    if not host or (port_text and not port_text.isdecimal()):
        raise CannotStart(f"The mail server for alerts must be HOST or HOST:PORT, not {smtp[:100]!r}.")
    port = int(port_text or _SMTP_PORT)

    def mail(alert: AlertToSend) -> None:
        message = EmailMessage()
        message["From"] = message["To"] = to
        message["Subject"] = alert.subject
        message.set_content(alert.message)
        with smtplib.SMTP(host, port, timeout=_TIMEOUT_SECONDS) as server:
            server.send_message(message)

    return mail
