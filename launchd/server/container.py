"""What a request may use, in one frozen value. Owns the assembly of the server's parts, not their work."""

import math
from dataclasses import dataclass

from launchd.server.artifacts.multipart_assembly import Assembler
from launchd.server.auth import Authenticator
from launchd.server.files.blob_store import ContentStore
from launchd.server.files.gc import GarbageCollector, Known
from launchd.server.files.quota import StoreBudget
from launchd.server.files.signed_urls import LinkSigner
from launchd.server.heartbeat_timer import HeartbeatTimer
from launchd.server.lease_timer import LeaseTimer
from launchd.server.notifier import Wakeups
from launchd.server.settings import ServerSettings
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.database import Database
from launchd.server.store.factory import Companion, open_database, open_relay
from launchd.server.store.runs import files as run_files


@dataclass(frozen=True)
class Services:
    """The parts of one server."""

    settings: ServerSettings
    database: Database
    auth: Authenticator
    wakeups: Wakeups
    relay: Companion | None
    """To other servers on the same database; None: there are none."""
    leases: LeaseTimer
    heartbeats: HeartbeatTimer
    contents: ContentStore
    run_contents: ContentStore
    collector: GarbageCollector
    assembler: Assembler
    links: LinkSigner

    def start(self) -> None:
        """Start what runs beside requests. Needs a running event loop."""
        if self.relay is not None:
            self.relay.start()
        self.leases.start()
        self.heartbeats.start()
        self.collector.start()

    def release_waiting(self) -> None:
        """Answer all requests that wait for work or orders, with nothing."""
        self.wakeups.close()
        self.leases.stop()
        self.heartbeats.stop()
        self.collector.stop()
        if self.relay is not None:
            self.relay.stop()


def assemble(settings: ServerSettings, link_secret: bytes) -> Services:
    """Open everything that the settings name; the database must be migrated."""
    database, wakeups = open_database(settings), Wakeups()
    shared = settings.database is not None
    budget = StoreBudget(settings.max_store_bytes)
    contents = ContentStore(settings.files_dir, settings.max_upload_bytes, budget)
    run_contents = ContentStore(settings.run_files_dir, settings.max_upload_bytes, budget)
    known: dict[ContentStore, Known] = {
        contents: artifact_files.known_contents,
        run_contents: run_files.known_contents,
    }
    return Services(
        settings=settings,
        database=database,
        auth=Authenticator(database),
        wakeups=wakeups,
        relay=open_relay(settings, wakeups),
        leases=LeaseTimer(database, wakeups, settings.patrol_seconds if shared else math.inf),
        heartbeats=HeartbeatTimer(database, settings.run_silence_seconds, shared=shared),
        contents=contents,
        run_contents=run_contents,
        collector=GarbageCollector(settings, database, budget, known),
        assembler=Assembler(contents, database, settings.assembly_patience_seconds),
        links=LinkSigner(link_secret, settings.link_seconds),
    )
