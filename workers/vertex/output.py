"""Copies a job's output from Cloud Logging into the files of the job: each entry once, also where workers die.

Entries come in the order of their times, and late: each look goes back by some minutes, and what was taken then is
known by its id. A position on disk, noted after each page, says which entries the job's files have.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from ipc.errors import RunnerUnavailable
from workers.gcp.requests import Gcp
from workers.output import OutputWriter
from workers.vertex import records
from workers.vertex.records import LogPosition

#: How late an entry may come, by its time.
OVERLAP = timedelta(minutes=2)
#: As many entries are asked for at a time, of at most 256 KiB each.
PAGE_ENTRIES = 200
_MOST_IDS = 20_000
#: The only process of most jobs; what others write has their name before it.
_FIRST_TASK = "workerpool0-0"


class OutputForbidden(Exception):
    """This host may not read logs; the message says so in a sentence."""


class _Resource(msgspec.Struct, frozen=True):
    labels: dict[str, str] = {}


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """An entry of a log: a line of output, as a rule."""

    insert_id: str
    timestamp: str = ""
    text_payload: str | None = None
    json_payload: dict[str, Any] | None = None
    resource: _Resource = _Resource()

    def text(self) -> bytes:
        """Return it as it stands in the job's output."""
        said = self.text_payload
        if said is None:
            payload = self.json_payload or {}
            message = payload.get("message")
            said = message if isinstance(message, str) else msgspec.json.encode(payload).decode()
        task = self.resource.labels.get("task_name", _FIRST_TASK)
        before = "" if task == _FIRST_TASK else f"[{task}] "
        return f"{before}{said.removesuffix(chr(10))}\n".encode()


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    entries: list[Entry] = []
    next_page_token: str = ""


class CloudLog:
    """The log of one job: ``number`` is the job's in Vertex AI, ``project`` the one whose log it is."""

    def __init__(self, gcp: Gcp, project: str, number: int) -> None:
        self._gcp = gcp
        self._project = project
        self._filter = f'resource.type="ml_job" AND resource.labels.job_id="{number}"'

    def pages(self, since: str | None) -> Iterator[list[Entry]]:
        """Yield the entries from the time ``since`` on, by their times.

        Raises:
            RunnerUnavailable: there was no answer.
            OutputForbidden: this host may not read them.
        """
        token = ""
        while True:
            page = self._page(since, token)
            yield page.entries
            token = page.next_page_token
            if not token:
                return

    def _page(self, since: str | None, token: str) -> _Page:
        asked = {
            "resourceNames": [f"projects/{self._project}"],
            "filter": self._filter + (f' AND timestamp>="{since}"' if since else ""),
            "orderBy": "timestamp asc",
            "pageSize": PAGE_ENTRIES,
            **({"pageToken": token} if token else {}),
        }
        answer = self._gcp.log_page(asked)
        if answer.status != HTTPStatus.OK:
            raise _refused(answer.status)
        try:
            return msgspec.json.decode(answer.body, type=_Page)
        except msgspec.DecodeError as error:
            raise RunnerUnavailable(f"What Cloud Logging answered cannot be read: {error}.") from error


class OutputCopy:
    """The copy of one job's log; goes on where an earlier one, of this process or another, stopped."""

    def __init__(self, directory: Path, writer: OutputWriter, log: CloudLog) -> None:
        self._directory = directory
        self._writer = writer
        self._log = log
        kept = records.read_position(directory) or LogPosition({}, 0)
        self._ids = dict(kept.ids)
        # What was written after the last note comes again first of all.
        self._skip = max(0, writer.position - kept.written)

    def take(self) -> int:
        """Copy what there is by now, and return how many entries are new; raises as :meth:`CloudLog.pages`."""
        count = 0
        for entries in self._log.pages(self._since()):
            new = [entry for entry in entries if entry.insert_id not in self._ids]
            for entry in new:
                self._write(entry)
            if new:
                self._note()
            count += len(new)
        return count

    def _write(self, entry: Entry) -> None:
        text = entry.text()
        if self._skip < len(text):
            self._writer.write(text[self._skip :])
        self._skip = max(0, self._skip - len(text))
        self._ids[entry.insert_id] = entry.timestamp

    def _note(self) -> None:
        since = self._since() or ""
        recent = {name: time for name, time in self._ids.items() if _moment(time) >= _moment(since)}
        self._ids = dict(list(recent.items())[-_MOST_IDS:])
        if not self._skip:
            records.write_position(self._directory, LogPosition(self._ids, self._writer.position))

    def _since(self) -> str | None:
        """Return the time from which on entries may be new."""
        if not self._ids:
            return None
        return (max(map(_moment, self._ids.values())) - OVERLAP).isoformat().replace("+00:00", "Z")


def _moment(timestamp: str) -> datetime:
    """Return a time of an entry, to the microsecond; the beginning of time where it is none."""
    try:
        found = datetime.fromisoformat(timestamp)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC) + OVERLAP
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _refused(status: int) -> Exception:
    if status == HTTPStatus.FORBIDDEN:
        return OutputForbidden(
            f"Cloud Logging does not give out the job's output ({status}): the service account of this host needs the"
            " role roles/logging.viewer."
        )
    return RunnerUnavailable(f"Cloud Logging does not give out the job's output ({status}).")
