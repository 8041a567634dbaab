"""Code directories as a real queue server gives them out."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ipc.errors import JobCancelled, SourceError
from ipc.settings import SupervisionConfig
from launchd.client.artifacts import upload_directory
from launchd.client.queue_server import QueueServer
from tests.support.server import RunningServer
from workers.context import JobContext, StopSignal
from workers.sources.code import CodeSource

ContextMaker = Callable[..., JobContext]


def job(make_context: ContextMaker, server: RunningServer, artifact: str) -> JobContext:
    context = make_context(spec={"uri": f"wandb-artifact://_id/{artifact}"}, base_url=server.url)
    context.api_key = server.key
    return context


def test_a_directory_comes_back_as_it_was(server: RunningServer, make_context: ContextMaker, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "main.py").write_text("print('hi')\n")
    (source / "deep" / "er" / "bytes.bin").write_bytes(bytes(range(256)))
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    client = QueueServer(server.url, server.key)
    artifact = upload_directory(client, "me", "engine", "code", source)
    client.close()

    project = CodeSource().fetch(job(make_context, server, artifact))

    assert project.entry_point == ("python", "main.py")
    names = [path.relative_to(project.directory).as_posix() for path in project.directory.rglob("*") if path.is_file()]
    assert sorted(names) == ["deep/er/bytes.bin", "main.py", "run.sh"]
    assert (project.directory / "deep/er/bytes.bin").read_bytes() == bytes(range(256))
    assert (project.directory / "run.sh").stat().st_mode & 0o111


def test_an_unknown_artifact_is_a_sentence(server: RunningServer, make_context: ContextMaker) -> None:
    with pytest.raises(SourceError, match=r"code directory could not be downloaded: .+") as failure:
        CodeSource().fetch(job(make_context, server, "QXJ0aWZhY3Q6OTk5"))

    assert failure.value.hint


def test_a_server_that_stays_away_fails_the_fetch_in_the_end(
    make_context: ContextMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.sources.downloads.RETRY_SECONDS", (0.01,))
    context = make_context(
        spec={"uri": "wandb-artifact://_id/abc"},
        base_url="http://localhost:1",
        supervision=SupervisionConfig(fetch_timeout_seconds=0.2),
    )

    with pytest.raises(SourceError, match="could not be downloaded"):
        CodeSource().fetch(context)


def test_a_stop_ends_the_wait_for_the_server(make_context: ContextMaker) -> None:
    context = make_context(spec={"uri": "wandb-artifact://_id/abc"}, base_url="http://localhost:1")
    stopper = threading.Thread(target=context.interrupt, args=(StopSignal("because I say so", 1.0),))
    stopper.start()

    with pytest.raises(JobCancelled):
        CodeSource().fetch(context)

    stopper.join()
