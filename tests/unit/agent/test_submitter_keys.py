"""API keys of jobs: the submitter's own lies in a private file while needed, and ours never takes its place."""

import stat
from pathlib import Path

import pytest

from launchd.agent.submitter_keys import SubmitterKeys


@pytest.fixture
def ring(tmp_path: Path) -> SubmitterKeys:
    return SubmitterKeys(tmp_path / "keys", "our-key")


def test_a_job_without_a_key_of_its_own_runs_with_ours(ring: SubmitterKeys, tmp_path: Path) -> None:
    ring.keep("job", None)
    assert ring.key_for("job", submitter=False) == "our-key"
    assert not (tmp_path / "keys").exists()


def test_a_submitters_key_survives_a_restart(ring: SubmitterKeys, tmp_path: Path) -> None:
    ring.keep("job", "their-key")
    assert SubmitterKeys(tmp_path / "keys", "our-key").key_for("job", submitter=True) == "their-key"


def test_a_submitters_key_is_for_the_owner_alone(ring: SubmitterKeys, tmp_path: Path) -> None:
    ring.keep("job", "their-key")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys" / "job.key").stat().st_mode) == 0o600


def test_a_lost_key_is_not_replaced_by_ours(ring: SubmitterKeys) -> None:
    assert ring.key_for("job", submitter=True) == ""


def test_a_forgotten_key_is_gone(ring: SubmitterKeys, tmp_path: Path) -> None:
    ring.keep("job", "their-key")
    ring.forget("job")
    ring.forget("job")
    assert list((tmp_path / "keys").iterdir()) == []


def test_the_same_job_again_has_the_new_key(ring: SubmitterKeys) -> None:
    ring.keep("job", "a-long-first-key")
    ring.keep("job", "second")
    assert ring.key_for("job", submitter=True) == "second"


def test_a_directory_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        SubmitterKeys(tmp_path / "file" / "keys", "our-key").keep("job", "their-key")


def test_a_key_that_cannot_be_removed_is_no_error_of_its_job(
    ring: SubmitterKeys, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A directory in the key's place cannot be unlinked, as no file can on a disk that is read-only.
    (tmp_path / "keys" / "job.key").mkdir(parents=True)

    ring.forget("job")

    assert "cannot be removed" in caplog.text
