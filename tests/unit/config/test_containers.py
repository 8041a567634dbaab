"""The configuration of containers: strict defaults, rules by queue, and what is wrong in a sentence."""

import pytest

from ipc.policy_rules import ContainerRules
from tests.unit.config.conftest import Read, Refuse

LAUNCHD = """
launchd:
  docker: {host: "unix:///run/engine.sock", pull_no_progress_seconds: 5}
  policy:
    resources: [local-container]
    containers: {mounts: [/data, "/scratch:rw"], devices: ["/dev/fuse:r"], flags: [ipc=host]}
    queues:
      b: {containers: {mounts: []}}
      c: {allow_venv: false}
"""


def test_containers_have_nothing_of_the_host_by_default(read: Read) -> None:
    rules = read("").config.launchd.policy.for_queue("q").containers

    assert rules == ContainerRules()
    assert (rules.images, rules.networks) == (("*",), ("bridge", "none"))
    assert not any((rules.mounts, rules.volumes, rules.devices, rules.capabilities, rules.users, rules.flags))
    assert not any((rules.env_files, rules.host_variables))


def test_the_engine_is_read(read: Read) -> None:
    engine = read(LAUNCHD).config.launchd.docker

    assert (engine.host, engine.pull_no_progress_seconds) == ("unix:///run/engine.sock", 5)


def test_the_rules_of_a_queue_have_those_of_all_as_defaults(read: Read) -> None:
    policy = read(LAUNCHD).config.launchd.policy

    common = ContainerRules(mounts=("/data", "/scratch:rw"), devices=("/dev/fuse:r",), flags=("ipc=host",))
    assert policy.for_queue("a").containers == common
    assert policy.for_queue("b").containers == ContainerRules(devices=("/dev/fuse:r",), flags=("ipc=host",))
    assert policy.for_queue("c").containers == common
    assert not policy.for_queue("c").allow_venv
    assert policy.for_queue("b").resources == ("local-container",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("containers: {mounts: [data]}", "has 'data': each must be an absolute path without .."),
        ("containers: {mounts: [/a/../b]}", "each must be an absolute path without .."),
        ('containers: {mounts: ["/a:rx"]}', "has '/a:rx': a path may have :ro or :rw after it"),
        ('containers: {env_files: ["/a:rw"]}', "has '/a:rw': a path has no colon"),
        ('containers: {devices: ["/dev/a:x"]}', "a path may have :r, :w, :m, :rw, :rm, :wm or :rwm after it"),
        ("containers: {mount: [/a]}", "Did you mean mounts?"),
        ("queues: {a: {containers: {images: all}}}", "must be a list: write [all]"),
    ],
)
def test_a_wrong_rule_is_a_sentence(refuse: Refuse, text: str, sentence: str) -> None:
    assert sentence in "".join(refuse(f"launchd: {{policy: {{{text}}}}}"))


@pytest.mark.parametrize("address", ["/run/docker.sock", "unix://run/docker.sock", "ssh://host", "docker"])
def test_the_engines_address_is_one(refuse: Refuse, address: str) -> None:
    [line] = refuse(f"launchd: {{docker: {{host: '{address}'}}}}")

    assert "must be an address such as unix:///run/docker.sock" in line
