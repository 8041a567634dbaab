"""Settings of the queue server. Owns names, defaults and units; reads no file and no environment."""

from pathlib import Path

import msgspec


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one queue server runs. Times are seconds, sizes bytes."""

    data_dir: Path
    database: str | None = None
    """`postgresql://...`, which may hold a password: it is shown to nobody. None: a SQLite file in `data_dir`."""
    host: str = "127.0.0.1"
    port: int = 8780
    """0 takes any free port."""
    entity: str | None = None
    """Name of the first user and entity; None: the name of the operating system's user."""
    public_url: str | None = None
    """What upload and download links start with; None: whatever the request was sent to."""
    lease_seconds: float = 60.0
    """After this an item that was popped but not acknowledged goes back to its queue (W&B: one minute)."""
    agent_timeout_seconds: float = 120.0
    """An agent that has given no sign of life for so long is shown as LOST."""
    run_timeout_seconds: float = 300.0
    """A run whose client is not heard of for so long has crashed (W&B's clients send something every 30 s)."""
    lease_scan_seconds: float = 10.0
    """With PostgreSQL: how often to look for leases that another server gave and did not live to end."""
    max_wait_seconds: float = 30.0
    request_seconds: float = 90.0
    """How long a query may take, waiting included."""
    idle_seconds: int = 75
    """A connection on which no request is made for so long, or not to the end of its header, is closed."""
    max_body_bytes: int = 10 * 1024 * 1024
    max_stream_bytes: int = 32 * 1024 * 1024
    """One `file_stream` request; W&B's clients send at most 10 MiB, not counting what JSON escapes add."""
    body_timeout_seconds: float = 120.0
    """A request of whose body nothing more has come for so long is given up."""
    max_upload_bytes: int = 100 * 1024**3
    assembly_timeout_seconds: float = 20.0
    """How long a client waits while a file is put together of its parts, before it is told to ask again."""
    max_store_bytes: int | None = None
    """All files of artifacts and runs together; None: as much as the disk holds."""
    gc_interval_seconds: float = 3600.0
    """How often files that nothing names any more are removed."""
    gc_pause_seconds: float = 5.0
    """How long a transaction may take that gives a stored content to another file."""
    abandoned_seconds: float = 7 * 24 * 3600.0
    """An artifact that nobody has worked at for so long is not going to be committed (W&B's clients try for a week)."""
    link_seconds: float = 24 * 3600.0
    stop_grace_seconds: float = 1.0
    """How long running requests may take after SIGTERM; waiting ones are answered at once."""

    @property
    def database_path(self) -> Path:
        """The SQLite file, where there is no other database."""
        return self.data_dir / "server.sqlite"

    @property
    def files_dir(self) -> Path:
        """Contents of artifact files."""
        return self.data_dir / "files"

    @property
    def run_files_dir(self) -> Path:
        """Contents of files of runs."""
        return self.data_dir / "run-files"

    @property
    def admin_key_path(self) -> Path:
        """The API key made at the first start."""
        return self.data_dir / "admin.key"
