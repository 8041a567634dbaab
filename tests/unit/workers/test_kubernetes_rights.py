"""The manifests of the agent: the rights that it asks for and no more, nobody's rights on the node, its own version."""

from pathlib import Path

import pytest
import yaml

from ipc.targets import KUBERNETES
from launchd import __version__
from launchd.config import Flags, load
from tests.support.manifests import Manifest, containers, kustomization, manifests, of_directory, of_kind
from workers.kubernetes.rights import CLAIM_RIGHTS, EVENT_RIGHTS, RIGHTS, SERVICE_RIGHTS, Right

_PAGE = Path(__file__).parents[3] / "docs" / "kubernetes.md"


def granted_in(objects: list[Manifest]) -> list[Right]:
    """Return what the one Role among ``objects`` grants, in its order."""
    return [
        Right(group, name, tuple(rule["verbs"]))
        for rule in of_kind(objects, "Role")["rules"]
        for group in rule["apiGroups"]
        for name in rule["resources"]
    ]


def test_the_role_grants_what_the_agent_does_and_nothing_else() -> None:
    assert granted_in(manifests()) == [*RIGHTS, *EVENT_RIGHTS]
    assert not [one for one in manifests() if one["kind"].startswith("Cluster")]


@pytest.mark.parametrize(("directory", "rights"), [("services", SERVICE_RIGHTS), ("claims", CLAIM_RIGHTS)])
def test_what_some_jobs_need_is_granted_apart(directory: str, rights: tuple[Right, ...]) -> None:
    objects = of_directory(directory)
    binding, usual = of_kind(objects, "RoleBinding"), of_kind(manifests(), "RoleBinding")

    assert granted_in(objects) == list(rights)
    assert binding["metadata"]["namespace"] == of_kind(objects, "Role")["metadata"]["namespace"] == "launchd-jobs"
    assert binding["subjects"] == usual["subjects"]
    assert binding["roleRef"]["name"] == of_kind(objects, "Role")["metadata"]["name"]


def test_the_rights_are_in_the_namespace_of_the_jobs_alone_and_the_key_is_not_there() -> None:
    objects = manifests()
    binding, pod = of_kind(objects, "RoleBinding"), of_kind(objects, "StatefulSet")

    assert binding["metadata"]["namespace"] == of_kind(objects, "Role")["metadata"]["namespace"] == "launchd-jobs"
    assert [subject["namespace"] for subject in binding["subjects"]] == ["launchd"]
    assert pod["metadata"]["namespace"] == "launchd"
    assert pod["spec"]["template"]["spec"]["serviceAccountName"] == binding["subjects"][0]["name"]


def test_the_agent_is_not_root_and_writes_on_volumes_alone() -> None:
    pod = of_kind(manifests(), "StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


def test_the_configuration_can_be_used_and_grants_the_cluster_alone(tmp_path: Path) -> None:
    file = tmp_path / "launch-config.yaml"
    file.write_text(of_kind(manifests(), "ConfigMap")["data"]["launch-config.yaml"])

    loaded = load(str(file), {"HOME": str(tmp_path)}, Flags())

    assert loaded.warnings == ()
    assert loaded.config.launchd.policy.resources == (KUBERNETES,)
    mounts = {mount["mountPath"] for mount in containers(manifests())[0]["volumeMounts"]}
    assert {str(Path(loaded.config.launchd.api_key_file or "").parent), "/var/lib/launch-agent"} <= mounts


def test_the_overlay_of_the_documentation_changes_what_it_means_to(tmp_path: Path) -> None:
    block = _PAGE.read_text().partition("# kustomization.yaml\n")[2].partition("```")[0]
    overlay = yaml.safe_load(block)
    (image,), (patch,) = overlay["images"], overlay["patches"]
    changed = yaml.safe_load(patch["patch"])
    file = tmp_path / "launch-config.yaml"
    file.write_text(changed["data"]["launch-config.yaml"])

    # kustomize has given the image the base's name before it comes to an overlay.
    assert image["name"] == kustomization()["images"][0]["newName"]
    assert changed["metadata"] == {
        name: of_kind(manifests(), "ConfigMap")["metadata"][name] for name in ("name", "namespace")
    }
    assert load(str(file), {"HOME": str(tmp_path)}, Flags()).warnings == ()


def test_the_image_is_of_this_version() -> None:
    (image,) = kustomization()["images"]

    assert image["newTag"] == __version__
