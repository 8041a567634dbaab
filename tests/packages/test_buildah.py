"""buildah under the real unit: what its sandbox keeps from a build, and a build that is run once that is opened."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packages.conftest import ROOT
from tests.packages.jobs import AGENT, CONFIG, output
from tests.packages.machine import Machine, machine_of
from tests.support.registries import Buildah, running_registry
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(900)]

PORT = 5001
REGISTRY = f"127.0.0.1:{PORT}"
REGISTRY_CONFIG = f"""version: 0.1
storage: {{filesystem: {{rootdirectory: /srv/registry/data}}}}
http: {{addr: "{REGISTRY}"}}
"""
#: Its base image holds a program with a set-user-ID bit, as those of all distributions do.
DOCKERFILE = f"FROM {REGISTRY}/box:1\nCOPY hello /hello\nRUN cat /hello /hello > /made\n"
#: In place of the policy's example.
RESOURCES = "    resources: [local-process, local-container]"
#: At the top of the file, and below `launchd`.
BUILDER = f"builder: {{type: buildah, destination: {REGISTRY}/team/images}}"
NUMBERS = "  buildah: {user_numbers: 200000-265535, storage_driver: vfs}"


@pytest.fixture(scope="module")
def base_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a registry that has a base image."""
    directory = tmp_path_factory.mktemp("base-image")
    with running_registry(directory / "registry") as registry:
        Buildah(directory / "by-hand").push_base(f"{registry.name}/box:1")
        return registry.directory / "data"


@pytest.fixture(scope="module")
def builder(
    serving_tree: Path, engine_packages: Path, base_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """A machine whose agent builds with buildah, beside a registry, and runs the images on an engine."""
    with machine_of(serving_tree, tmp_path_factory.mktemp("builder") / "tree", runs_containers=True) as machine:
        shutil.copytree(engine_packages, machine.tree / "engine")
        machine.run("DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends /engine/*.deb")
        place = machine.tree / "srv/registry"
        shutil.copytree(base_image, place / "data")
        (place / "config.yml").write_text(REGISTRY_CONFIG)
        machine.run("systemd-run --unit images docker-registry serve /srv/registry/config.yml")
        code = machine.tree / "root/code"
        code.mkdir()
        (code / "Dockerfile").write_text(DOCKERFILE)
        (code / "hello").write_text("hello\n")
        edits = f"s|^    #resources: .*|{RESOURCES}|; s|^launchd:|{BUILDER}\\n&\\n{NUMBERS}|"
        machine.run(f"sed -i '{edits}' {CONFIG} && launchd config check -c {CONFIG} && systemctl restart {AGENT}")
        yield machine


def test_as_shipped_a_build_is_refused_by_the_name_of_the_directive(builder: Machine) -> None:
    state, message = build_and_run(builder)

    assert state == "failed"
    assert "may make no file with a set-user-ID bit" in message
    assert "RestrictSUIDSGID=no" in message
    assert builder.says("ls /srv/registry/data/docker/registry/v2/repositories") == "box"


def test_with_what_the_documentation_opens_an_image_is_built_and_run(builder: Machine) -> None:
    """All else of the sandbox stays, `NoNewPrivileges=` among it."""
    drop_in = f"/etc/systemd/system/{AGENT}.d"
    builder.run(f"mkdir -p {drop_in} && cat > {drop_in}/override.conf", stdin=documented_drop_in())
    builder.run(f"systemctl daemon-reload && systemctl restart {AGENT}")
    assert builder.property(AGENT, "NoNewPrivileges") == "yes"

    item = launch(builder)

    wait_until(lambda: output(builder, item) == ["hello", "hello"], 240.0, "the image was built and run")
    assert builder.says("ls /srv/registry/data/docker/registry/v2/repositories/team") == "images"
    # Nothing of the build is left, in files, processes and mounts.
    assert builder.says("find /var/lib/launch-agent/buildah -mindepth 2 | head") == ""
    assert builder.says("cat /proc/[0-9]*/status | awk '/^Uid:/ && $2 >= 200000'") == ""
    assert builder.run("cat /proc/[0-9]*/mountinfo 2>/dev/null | grep agent/buildah", check=False).stdout == ""


def documented_drop_in() -> str:
    """Return what the documentation says to put into `systemctl edit`."""
    text = (ROOT / "docs" / "registries.md").read_text().partition("### With systemd")[2]
    return text.split("```ini\n", 1)[1].split("```", 1)[0]


def launch(machine: Machine) -> str:
    options = "--async --resource local-container --dockerfile Dockerfile"
    return machine.says(f"launchd launch {options} code -E 'cat /made'").split()[-1]


def build_and_run(machine: Machine) -> tuple[str, str]:
    """Launch the code; returns how the job ended, and what it said."""
    item = launch(machine)
    ended = wait_until(lambda: [job for job in recent(machine) if job["item_id"] == item], 240.0, "the job ended")
    return ended[0]["status"], ended[0]["message"]


def recent(machine: Machine) -> list[dict[str, Any]]:
    """Return the jobs that ended last, as the agent has them."""
    ended: list[dict[str, Any]] = json.loads(machine.says("launchd status --json"))["recent"]
    return ended
