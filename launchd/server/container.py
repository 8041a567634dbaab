"""The server's parts, built once from its settings and handed to every request."""

import math
from dataclasses import dataclass

from launchd.server.alert_sender import AlertSender
from launchd.server.artifacts.multipart_assembly import MultipartAssembler
from launchd.server.auth import Authenticator
from launchd.server.files.blob_store import BlobStore
from launchd.server.files.gc import FindKnown, GarbageCollector
from launchd.server.files.history_exports import HistoryExports
from launchd.server.files.output_store import OutputStore
from launchd.server.files.quota import StorageQuota
from launchd.server.files.retention import Retention
from launchd.server.files.signed_urls import UrlSigner
from launchd.server.heartbeat_timer import HeartbeatTimer
from launchd.server.heavy_queries import HeavyQueries
from launchd.server.http.request_body import RequestBodies
from launchd.server.launch.job_keys import JobKeys
from launchd.server.launch.lease_mark import LeaseMark
from launchd.server.launch.lease_timer import LeaseTimer
from launchd.server.launch.outputs import Outputs
from launchd.server.launch.repetitions import Repetitions
from launchd.server.measures import ServerMeasures
from launchd.server.notifier import Notifier
from launchd.server.settings import ServerSettings
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.database import Database
from launchd.server.store.factory import BackgroundTask, open_database, open_pubsub
from launchd.server.store.measured import MeasuredDatabase
from launchd.server.store.runs import files as run_files
from launchd.server.wrong_keys import WrongKeys


@dataclass(frozen=True)
class AppState:
    """The parts of one server."""

    settings: ServerSettings
    measures: ServerMeasures
    database: Database
    auth: Authenticator
    bodies: RequestBodies
    job_keys: JobKeys
    notifier: Notifier
    pubsub: BackgroundTask | None
    """Wake-ups to other servers on the same database; None with SQLite."""
    lease_timer: LeaseTimer
    lease_mark: LeaseMark
    heartbeat_timer: HeartbeatTimer
    repetitions: Repetitions
    artifact_blobs: BlobStore
    run_blobs: BlobStore
    history_exports: HistoryExports
    retention: Retention
    outputs: Outputs
    garbage_collector: GarbageCollector
    multipart_assembler: MultipartAssembler
    url_signer: UrlSigner
    heavy_queries: HeavyQueries
    alert_sender: AlertSender

    def start(self) -> None:
        """Start the background tasks. Needs a running event loop."""
        if self.pubsub is not None:
            self.pubsub.start()
        self.lease_timer.start()
        self.heartbeat_timer.start()
        self.alert_sender.start()
        self.garbage_collector.start()

    def stop(self) -> None:
        """Answer all waiting requests with nothing, give up long queries and stop the background tasks."""
        self.notifier.close()
        self.heavy_queries.stop()
        self.lease_timer.stop()
        self.heartbeat_timer.stop()
        self.alert_sender.stop()
        self.garbage_collector.stop()
        self.lease_mark.close()
        if self.pubsub is not None:
            self.pubsub.stop()


def build_app_state(settings: ServerSettings, link_secret: bytes) -> AppState:
    """Open everything that the settings name; the database must be migrated."""
    measures, notifier, job_keys = ServerMeasures(), Notifier(), JobKeys(link_secret)
    database = MeasuredDatabase(open_database(settings), measures)
    shared = settings.database is not None
    output_store = OutputStore(settings.outputs_dir)
    quota = StorageQuota(settings.max_store_bytes)
    artifact_blobs = BlobStore(settings.files_dir, settings.max_upload_bytes, quota)
    run_blobs = BlobStore(settings.run_files_dir, settings.max_upload_bytes, quota)
    find_known: dict[BlobStore, FindKnown] = {
        artifact_blobs: artifact_files.known_blobs,
        run_blobs: run_files.known_blobs,
    }
    retention = Retention(database, settings.retention)
    return AppState(
        settings=settings,
        measures=measures,
        database=database,
        auth=Authenticator(database, job_keys, WrongKeys(settings.wrong_key_burst)),
        bodies=RequestBodies(settings.body_timeout_seconds, settings.max_unfinished_bytes),
        job_keys=job_keys,
        notifier=notifier,
        pubsub=open_pubsub(settings, notifier),
        lease_timer=LeaseTimer(database, notifier, measures, settings.lease_scan_seconds if shared else math.inf),
        lease_mark=LeaseMark(settings.lease_mark_path),
        heartbeat_timer=HeartbeatTimer(database, settings.run_timeout_seconds, shared=shared),
        repetitions=Repetitions(),
        artifact_blobs=artifact_blobs,
        run_blobs=run_blobs,
        history_exports=HistoryExports(database, run_blobs, settings.request_seconds / 2),
        retention=retention,
        outputs=Outputs(output_store, database, notifier),
        garbage_collector=GarbageCollector(settings, database, quota, retention, find_known, output_store),
        multipart_assembler=MultipartAssembler(artifact_blobs, database, settings.assembly_timeout_seconds),
        url_signer=UrlSigner(link_secret, settings.link_seconds),
        heavy_queries=HeavyQueries(settings.request_seconds),
        alert_sender=AlertSender(settings.alert_webhook, settings.alert_mail_to, settings.alert_smtp),
    )
