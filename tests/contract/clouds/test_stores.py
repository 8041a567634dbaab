"""Files of builds in the stores of Google Cloud and Azure, at their emulators: Azurite is Microsoft's own.

``npm install azurite`` and ``pip install gcp-storage-emulator`` bring them, to be put on the PATH.
"""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from ipc.errors import HostError
from ipc.settings import BuilderConfig, EnvironmentConfig
from ipc.work_order import WorkOrder
from tests.support.azure import azure
from tests.support.google_cloud import PROJECT, REGION, google_cloud
from tests.support.job_contexts import heard, make_context
from tests.support.registries import require
from tests.support.waiting import wait_until
from workers.context import JobContext
from workers.environments import CloudRefused
from workers.pod_builds.files import hand_over, remove_stored
from workers.pod_builds.kaniko import KanikoKit

__all__ = ["heard", "make_context"]

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

NAME = "wandb-launch-container-build-0123456789abcdef"
CONTENT = os.urandom(3 << 20)


@contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Run an emulator while the block lasts."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=log.parent)
    try:
        wait_until(lambda: answers(port), 60, f"the emulator answered ({log})")
        yield
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "files.tgz"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def order_of(make_context: Callable[..., JobContext]) -> Callable[[str, EnvironmentConfig], WorkOrder]:
    numbers = count()

    def make(store: str, environment: EnvironmentConfig) -> WorkOrder:
        builder = BuilderConfig(type="kaniko", build_context_store=store)
        return make_context(f"launchd-{next(numbers):016}-1", builder_config=builder, environment=environment).order

    return make


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cloud Storage with the bucket ``contexts``; who asks is told by a fake."""
    require("gcp-storage-emulator")
    port = free_port()
    command = ("gcp-storage-emulator", "start", "--host=127.0.0.1", f"--port={port}", "--in-memory")
    with google_cloud() as server, running((*command, "--default-bucket=contexts"), port, tmp_path / "log"):
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.write_credentials(tmp_path)))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        yield


@pytest.fixture
def microsoft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blob Storage with the container ``contexts``."""
    require("azurite-blob")
    port, place = free_port(), str(tmp_path / "blobs")
    command = ("azurite-blob", "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", place)
    with azure() as server:
        variables = server.variables
    text = variables["AZURE_STORAGE_CONNECTION_STRING"].replace(server.url, f"http://127.0.0.1:{port}")
    with running((*command, "--silent", "--disableTelemetry", "--skipApiVersionCheck"), port, tmp_path / "log"):
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
        from azure.storage.blob import BlobServiceClient

        with BlobServiceClient.from_connection_string(text) as service:
            service.create_container("contexts")
        yield


@pytest.mark.usefixtures("google")
def test_files_go_through_cloud_storage_and_are_removed(
    order_of: Callable[[str, EnvironmentConfig], WorkOrder], archive: Path
) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    environment = EnvironmentConfig("gcp", REGION, PROJECT)
    order = order_of("gs://contexts/of/team", environment)

    files = hand_over(archive, NAME, order, KanikoKit())
    with_client = Client(project=PROJECT, credentials=AnonymousCredentials())
    blob = with_client.bucket("contexts").blob(f"of/team/{NAME}.tgz")

    assert files.stored == f"gs://contexts/of/team/{NAME}.tgz"
    assert blob.download_as_bytes() == CONTENT
    # A worker that takes a build up may bring the files again.
    hand_over(archive, NAME, order, KanikoKit())
    for _ in range(2):
        remove_stored(files.stored, order)
    assert not blob.exists()
    with_client.close()
    with pytest.raises(CloudRefused, match=r"\(404\)"):
        hand_over(archive, NAME, order_of("gs://no-such-bucket/x", environment), KanikoKit())


@pytest.mark.usefixtures("microsoft")
def test_files_go_through_blob_storage_and_are_removed(
    order_of: Callable[[str, EnvironmentConfig], WorkOrder], archive: Path
) -> None:
    from azure.storage.blob import BlobServiceClient

    store = "https://teamaccount.blob.core.windows.net"
    environment = EnvironmentConfig("azure")
    order = order_of(f"{store}/contexts/of/team", environment)

    files = hand_over(archive, NAME, order, KanikoKit())

    assert files.stored == f"{store}/contexts/of/team/{NAME}.tgz"
    with BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"]) as service:
        blob = service.get_blob_client("contexts", f"of/team/{NAME}.tgz")
        assert blob.download_blob().readall() == CONTENT
        hand_over(archive, NAME, order, KanikoKit())
        for _ in range(2):
            remove_stored(files.stored, order)
        assert not blob.exists()
    with pytest.raises(HostError, match=r"\(404\)"):
        hand_over(archive, NAME, order_of(f"{store}/no-such-container", environment), KanikoKit())
