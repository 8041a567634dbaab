"""Which process an agent is: another one with each start, the same state directory on the same host."""

from pathlib import Path

from launchd.agent.identity import next_identity
from launchd.agent.journal import Journal
from launchd.client.queue_server import AgentIdentity


def identity_of(state_dir: Path, machine: Path) -> AgentIdentity:
    journal = Journal(state_dir / "journal.sqlite")
    identity = next_identity(journal, machine)
    journal.commit()
    journal.close()
    return identity


def test_each_process_is_another_incarnation_and_knows_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "machine-id").write_text("7f3b\n")
    first, second = (identity_of(tmp_path / "state", tmp_path / "machine-id") for _ in range(2))
    assert (first.previous_incarnation, second.previous_incarnation) == (None, first.incarnation)
    assert first.incarnation != second.incarnation
    assert first.machine_id == second.machine_id


def test_the_machine_id_stands_for_a_state_directory_on_a_host_and_does_not_give_the_hosts_away(
    tmp_path: Path,
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.write_text("7f3b\n")
    there.write_text("99aa\n")
    ids = [
        identity_of(tmp_path / state, machine).machine_id
        for state, machine in (("state", here), ("copy", here), ("state", there))
    ]
    assert len(set(ids)) == 3
    assert not any("7f3b" in str(one) for one in ids)


def test_a_host_without_an_id_has_none(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert identity_of(tmp_path / "state", tmp_path / "missing").machine_id is None
    assert identity_of(tmp_path / "state", tmp_path / "empty").machine_id is None
