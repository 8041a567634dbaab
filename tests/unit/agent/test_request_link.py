"""The thread that keeps the process which asks a cloud: what ends a process never ends the thread."""

from pathlib import Path

import pytest

from ipc.request_service import ServiceSettings, open_pipes
from launchd.agent.request_link import RequestLink
from tests.support.waiting import wait_until


def test_a_directory_that_cannot_be_made_does_not_end_the_thread(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    link = RequestLink("aws", "none:none", ServiceSettings(f"{tmp_path}/file/below/aws.sock", 1.0), 1.0)
    link.start()
    wait_until(lambda: caplog.records, 10, "it is said")

    assert link.is_alive()
    assert "could not be started: NotADirectoryError" in vars(caplog.records[0])["why"]
    link.end()
    link.join(10)
    assert not link.is_alive()


def test_the_supervisor_hears_that_a_process_lives_and_why_it_cannot_serve() -> None:
    peer, end = open_pipes(ServiceSettings("socket", 1.0))
    end.say_alive()
    end.say_failed("\ud800" + "x" * 10_000)

    assert peer.hear() is None
    assert (peer.hear() or "").startswith("?xxx")
    end.close()
    with pytest.raises(EOFError):
        peer.hear()
    peer.close()
