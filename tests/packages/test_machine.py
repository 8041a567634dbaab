"""The machines of these tests: several at once, and one that does not boot."""

from pathlib import Path

import psutil
import pytest

from tests.packages import machine as machines
from tests.packages.machine import Machine, NotUp, machine_of

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(600)]


def test_two_machines_run_at_once(debian: Path, tmp_path: Path) -> None:
    with machine_of(debian, tmp_path / "one") as one, machine_of(debian, tmp_path / "other") as other:
        one.run("systemd-run --unit idle sleep infinity")
        other.run("systemd-run --unit idle sleep infinity; systemctl stop idle")

        assert [machine.property("idle", "ActiveState") for machine in (one, other)] == ["active", "inactive"]


def test_a_machine_that_does_not_boot_says_why_and_is_gone(
    debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "BOOT_SECONDS", 5.0)
    stuck = Machine(tmp_path / "stuck")
    machines.copy_tree(debian, stuck.tree)
    units = stuck.tree / "etc/systemd/system"
    (units / "stuck.service").write_text("[Service]\nType=oneshot\nExecStart=sleep infinity\n")
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/stuck.service").symlink_to("../stuck.service")

    with pytest.raises(NotUp, match=r"stuck\.service +start running"):
        stuck.start()

    words = {word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or ()}
    assert f"--directory={stuck.tree}" not in words
