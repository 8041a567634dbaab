"""API keys, signed links, ids, names, waiters, the first start."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from launchd.server import bootstrap
from launchd.server.errors import CannotStart, NotAllowed, Refused
from launchd.server.files.signed_urls import DOWNLOAD, UPLOAD, SignedLink, UrlSigner
from launchd.server.gql.schema import build_schema
from launchd.server.launch.job_keys import JobKeys
from launchd.server.models import LeasedItem
from launchd.server.notifier import Notifier, work_topics
from launchd.server.settings import ServerSettings
from launchd.server.store.accounts.api_keys import new_key
from launchd.server.store.ids import HIGHEST_NUMBER, new_id, parse_storage_id, row_number, storage_id


def test_keys_have_the_form_that_wandb_accepts() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(len(key) == 40 and key.isalnum() and key == key.lower() for key in made)


def test_keys_of_jobs_differ_by_server_item_and_lease() -> None:
    keys = JobKeys(b"secret")
    made = {keys.key_of(number, item, lease) for number in (1, 2**31) for item in ("a", "b") for lease in (1, 2**40)}
    made.add(JobKeys(b"other").key_of(1, "a", 1))
    assert len(made) == 9
    assert all(len(key) == 40 and key.isalnum() and key == key.lower() for key in made)
    assert keys.key_of(1, "a", 1) == JobKeys(b"secret").key_of(1, "a", 1), "also after a restart"


def test_a_run_spec_is_handed_out_with_a_key_where_its_submitter_is_known() -> None:
    keys, spec = JobKeys(b"secret"), msgspec.Raw(b'{"project":"p"}')
    leased = LeasedItem(number=1, item_id="a", has_submitter=True, queue_name="q", run_spec=spec, lease=1)
    given = msgspec.json.decode(keys.spec_of(leased))
    assert given == {"project": "p", "_wandb_api_key": keys.key_of(1, "a", 1)}
    assert keys.spec_of(msgspec.structs.replace(leased, has_submitter=False)) == spec


def test_a_link_is_for_one_action_on_one_file() -> None:
    signer = UrlSigner(b"secret", 60)
    token = signer.sign("http://host", UPLOAD, SignedLink(7, 5, 3, 0)).rpartition("/")[2]
    assert signer.read(UPLOAD, token) == SignedLink(7, 5, 3, 0)
    for action, text in (
        (DOWNLOAD, token),
        (UPLOAD, f"8{token[1:]}"),
        (UPLOAD, f"7-6{token[3:]}"),
        (UPLOAD, f"7-5-4{token[5:]}"),
        (UPLOAD, f"7-5-3-1{token[7:]}"),
        (UPLOAD, ""),
        (UPLOAD, "\u0667-1-1-" + "0" * 64),
    ):
        with pytest.raises(NotAllowed):
            signer.read(action, text)
    with pytest.raises(NotAllowed):
        UrlSigner(b"other", 60).read(UPLOAD, token)


def test_an_old_link_is_refused() -> None:
    signer = UrlSigner(b"secret", -1)
    with pytest.raises(NotAllowed, match="has ended"):
        signer.read(DOWNLOAD, signer.sign("http://host", DOWNLOAD, SignedLink(7, 5, 3, 0)).rpartition("/")[2])


def test_ids_are_fit_for_paths_and_labels() -> None:
    assert all(new_id().isalnum() for _ in range(20))
    assert storage_id("Run", "v1", "r", "p", "e") == "UnVuOnYxOnI6cDpl"
    assert parse_storage_id("UnVuOnYxOnI6cDpl", "Run", "v1") == ["r", "p", "e"]


@pytest.mark.parametrize("text", ["", "!", "UnVu", "QXJ0aWZhY3Q6MQ==", "\u00e9", "UnVuOnYx"])
def test_other_texts_are_no_run_ids(text: str) -> None:
    with pytest.raises(Refused, match="is not an id of kind Run"):
        parse_storage_id(text, "Run", "v1")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        (str(HIGHEST_NUMBER), HIGHEST_NUMBER),
        ("9" * 18, HIGHEST_NUMBER),
        ("9" * 5000, None),
        ("", None),
        ("-1", None),
        ("7.0", None),
        ("\u0667", None),
    ],
)
def test_the_number_of_a_row_is_one_that_a_database_can_look_for(text: str, number: int | None) -> None:
    assert row_number(text) == number


def test_one_of_those_who_wait_for_work_is_woken_and_wakes_the_next_when_it_leaves() -> None:
    notifier = Notifier()
    work = work_topics(["q"])
    with notifier.waiter(work) as second_to_come:
        with notifier.waiter(work) as last:
            notifier.wake_one(work[:1])
            assert (second_to_come.is_notified, last.is_notified) == (True, False)
            notifier.wake_one(work[:1])
            assert last.is_notified, "the first is awake already"
            last.clear()
            second_to_come.clear()
        assert second_to_come.is_notified, "a waiter that leaves wakes the next"
    assert not notifier._waiters, "waiters that left are removed"


def test_a_notification_before_the_wait_is_not_lost() -> None:
    async def run() -> tuple[bool, bool]:
        notifier = Notifier()
        deadline = asyncio.get_running_loop().time() + 0.05
        with notifier.waiter(["agent"]) as waiter:
            silent = await waiter.notified_before(deadline)
            notifier.wake_all(["agent", "another"])
            return silent, await waiter.notified_before(deadline)

    assert asyncio.run(run()) == (False, True)


def test_the_schema_uses_the_names_of_python() -> None:
    schema = build_schema()
    inputs = schema.type_map["CreateArtifactFileSpecInput"].fields  # type: ignore[attr-defined]
    assert {name: field.out_name for name, field in inputs.items()} == {
        "artifactID": "artifact_id",
        "name": None,
        "md5": None,
        "mimetype": None,
        "artifactManifestID": "artifact_manifest_id",
        "uploadPartsInput": "upload_parts_input",
        "digest": None,
    }
    assert schema.type_map["DeleteRunQueuesInput"].fields["queueIDs"].out_name == "queue_ids"  # type: ignore[attr-defined]


def test_the_admin_key_is_made_once_and_made_again_when_lost(tmp_path: Path) -> None:
    settings = ServerSettings(data_dir=tmp_path / "data", entity="me")
    bootstrap.lock(settings).close()
    secret = bootstrap.prepare(settings)
    key = settings.admin_key_path.read_text()
    assert bootstrap.prepare(settings) == secret
    assert settings.admin_key_path.read_text() == key
    settings.admin_key_path.unlink()
    bootstrap.prepare(settings)
    assert settings.admin_key_path.read_text() != key


def test_the_first_queue_is_made_with_the_first_key_and_not_a_second_time(tmp_path: Path) -> None:
    settings = ServerSettings(data_dir=tmp_path / "data", entity="me", first_queue="default")
    bootstrap.lock(settings).close()

    for _ in range(2):
        settings.admin_key_path.unlink(missing_ok=True)
        bootstrap.prepare(settings)

    with closing(sqlite3.connect(settings.database_path)) as database:
        assert database.execute("SELECT name, created_by FROM run_queues").fetchall() == [("default", "me")]
        assert database.execute("SELECT resource FROM resource_configs").fetchall() == [("local-process",)]


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match="cannot be used: Not a directory"):
        bootstrap.lock(ServerSettings(data_dir=tmp_path / "file" / "data"))
