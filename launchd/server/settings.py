"""Settings of the queue server: names, defaults and units. Reads no file and no environment."""

from pathlib import Path

import msgspec

from launchd.server.runs.retention import RetentionRule


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one queue server runs. Times are seconds, sizes bytes."""

    data_dir: Path
    database: str | None = None
    """`postgresql://...`; may hold a password, so it is never shown. None: a SQLite file in `data_dir`."""
    host: str = "127.0.0.1"
    port: int = 8780
    """0 takes any free port."""
    entity: str | None = None
    """Name of the first user and entity; None: the name of the operating system's user."""
    first_queue: str | None = None
    """Queue of that entity for local processes, created with its first key; None: none."""
    public_url: str | None = None
    """Start of upload and download links; None: the address that the request was sent to."""
    forwarded_allow_ips: str = "127.0.0.1,::1"
    """Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed: addresses, networks, or `*` for all."""
    lease_seconds: float = 60.0
    """After this an item that was popped but not acknowledged goes back to its queue (W&B: one minute)."""
    backfill_seconds: float = 300.0
    """How long smaller items may pass one whose GPUs are not free; after that GPUs are held back for it."""
    agent_timeout_seconds: float = 120.0
    """An agent without a heartbeat for so long is shown as LOST."""
    wrong_key_burst: int = 30
    """So many different wrong API keys may come from one address at once, and then one more every 2 seconds."""
    restore_pause_seconds: float = 60.0
    """How long nothing is leased at the most after the database was found to be a restored copy; 0: no pause."""
    run_timeout_seconds: float = 300.0
    """A run without a heartbeat for so long has crashed (W&B's clients send one every 30 s)."""
    lease_scan_seconds: float = 10.0
    """With PostgreSQL: interval of the scan for expired leases that another server granted before it died."""
    max_wait_seconds: float = 30.0
    request_seconds: float = 90.0
    """How long a query may take, waiting included."""
    max_answer_bytes: int = 64 * 1024 * 1024
    """The answer to a query, and what is read for it."""
    idle_seconds: int = 75
    """A connection without a request for so long, or with an unfinished header, is closed."""
    max_body_bytes: int = 10 * 1024 * 1024
    max_stream_bytes: int = 32 * 1024 * 1024
    """One `file_stream` request; W&B's clients send at most 10 MiB, not counting what JSON escapes add."""
    body_timeout_seconds: float = 120.0
    """A request whose body stalls for so long, or arrives very slowly for longer, is given up."""
    max_unfinished_bytes: int = 256 * 1024 * 1024
    """All bodies in memory that are not whole yet; where there is more, those that have taken the longest go."""
    max_upload_bytes: int = 100 * 1024**3
    assembly_timeout_seconds: float = 20.0
    """How long a client waits while a file is assembled from its parts, before it is asked to retry."""
    max_store_bytes: int | None = None
    """All files of artifacts and runs together; None: limited by the disk alone."""
    retention: tuple[RetentionRule, ...] = ()
    """How long ended runs and their files are kept, by project or for all; without a rule: until they are deleted."""
    keep_items_seconds: float | None = None
    """How long items are kept after their end; None: for ever."""
    gc_interval_seconds: float = 3600.0
    """How often the rules of retention are applied and unreferenced files are removed."""
    gc_pause_seconds: float = 5.0
    """How long a transaction may take that references a stored blob from another file."""
    abandoned_seconds: float = 7 * 24 * 3600.0
    """An uncommitted artifact without any upload for so long is deleted (W&B's clients try for a week)."""
    keep_output_seconds: float = 90 * 24 * 3600.0
    """How long the end of a job's output is kept."""
    link_seconds: float = 30 * 60.0
    """How long a link to upload or download a file may be used. A transfer that has begun by then goes on."""
    alert_webhook: str | None = None
    """Address that alerts of runs are posted to, a secret; None: nowhere."""
    alert_mail_to: str | None = None
    """Address that alerts of runs are mailed to; None: nowhere."""
    alert_smtp: str = "localhost:25"
    """The mail server for alerts, without a login."""
    metrics_listen: str | None = None
    """Where Prometheus reads metrics: `127.0.0.1:9782` or `unix:/path`; None: nowhere."""
    metrics_remote: bool = False
    """Whether `metrics_listen` may be an address that other machines reach."""
    stop_grace_seconds: float = 1.0
    """How long running requests may take after SIGTERM; waiting ones are answered at once."""

    @property
    def database_path(self) -> Path:
        """The SQLite file, where there is no other database."""
        return self.data_dir / "server.sqlite"

    @property
    def files_dir(self) -> Path:
        """Blobs of artifact files."""
        return self.data_dir / "files"

    @property
    def run_files_dir(self) -> Path:
        """Blobs of files of runs."""
        return self.data_dir / "run-files"

    @property
    def outputs_dir(self) -> Path:
        """The kept ends of jobs' outputs."""
        return self.data_dir / "outputs"

    @property
    def lease_mark_path(self) -> Path:
        """File with the highest lease number that was given."""
        return self.data_dir / "lease.mark"

    @property
    def links_key_path(self) -> Path:
        """File with the secret that signs links, and makes the keys of jobs."""
        return self.data_dir / "links.key"

    @property
    def unfinished_restore_path(self) -> Path:
        """File that is there while a backup is being restored."""
        return self.data_dir / "restore.unfinished"

    @property
    def admin_key_path(self) -> Path:
        """File with the API key that the first start creates."""
        return self.data_dir / "admin.key"
