"""The presets of the policy: what each grants, how a file changes it, and that a queue's closes what others open."""

import pytest

from ipc.policy_rules import ContainerLimits, ContainerRules
from ipc.settings import GIB, MIB, EngineCleanupConfig
from tests.unit.config.conftest import Read, Refuse


def _policy(text: str) -> str:
    return f"launchd: {{policy: {{{text}}}}}"


def test_public_gives_a_share_of_the_host_and_nothing_of_what_is_on_it(read: Read) -> None:
    rules = read(_policy("preset: public")).config.launchd.policy.for_queue("q")

    granted = rules.containers
    assert not any(
        (granted.mounts, granted.volumes, granted.devices, granted.capabilities, granted.users, granted.flags)
    )
    assert granted.no_new_privileges
    assert all(getattr(granted.limits, name) for name in ContainerLimits.__struct_fields__)
    assert (rules.git_credentials, rules.allow_local_git, rules.git_transports) == (False, False, ("https",))


def test_team_makes_no_job_root(read: Read) -> None:
    granted = read(_policy("preset: team")).config.launchd.policy.for_queue("q").containers

    assert not any((granted.mounts, granted.devices, granted.users))
    assert "host" not in granted.networks
    assert not {"privileged", "pid", "ipc", "security-opt", "cgroup-parent", "volumes-from"} & set(granted.flags)


def test_trusted_may_be_root(read: Read) -> None:
    rules = read(_policy("preset: trusted")).config.launchd.policy.for_queue("q")

    assert rules.allow_root_jobs
    assert "privileged" in rules.containers.flags


def test_keys_of_the_file_stand_in_place_of_the_presets(read: Read) -> None:
    text = "preset: public, git_transports: [ssh], containers: {mounts: [/data], limits: {memory: 1 GiB}}"
    rules = read(_policy(text)).config.launchd.policy.for_queue("q")

    assert rules.git_transports == ("ssh",)
    assert rules.containers.mounts == ("/data",)
    assert rules.containers.no_new_privileges
    assert (rules.containers.limits.memory, rules.containers.limits.processors) == (GIB, 4.0)


def test_the_preset_of_a_queue_closes_what_all_queues_may(read: Read) -> None:
    queues = "strangers: {preset: public}, colleagues: {preset: team}, others: {allow_venv: false}"
    text = f"preset: trusted, queues: {{{queues}}}"
    policy = read(_policy(text)).config.launchd.policy

    assert policy.for_queue("strangers").containers == read(_policy("preset: public")).config.launchd.policy.containers
    assert not policy.for_queue("strangers").allow_root_jobs
    assert policy.for_queue("colleagues").containers.mounts == ()
    assert policy.for_queue("others").containers == policy.containers


def test_limits_of_a_queue_have_those_of_all_as_defaults(read: Read) -> None:
    text = "containers: {limits: {memory: 2 GiB, disk: 1 GiB}}, queues: {a: {containers: {limits: {memory: 64 MiB}}}}"
    limits = read(_policy(text)).config.launchd.policy.for_queue("a").containers.limits

    assert limits == ContainerLimits(memory=64 * MIB, disk=GIB)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("preset: open", "must be public, team or trusted"),
        ("containers: {limits: {memory: much}}", "must be a number of bytes"),
        ("containers: {limits: {processors: 0}}", "must be a number of processors above 0"),
        ("containers: {limits: {shm: 1 GiB}}", "there is no such key"),
        ("containers: {user: 'a b'}", "must be USER or USER:GROUP"),
        ("containers: {no_new_privileges: 3}", "must be true or false"),
    ],
)
def test_a_wrong_key_is_a_sentence(refuse: Refuse, text: str, sentence: str) -> None:
    assert sentence in "".join(refuse(_policy(text)))


@pytest.mark.parametrize("user", ["1000", "1000:100", "'me:staff'"])
def test_a_user_of_containers_is_a_name_or_a_number(read: Read, user: str) -> None:
    rules = read(_policy(f"containers: {{user: {user}}}")).config.launchd.policy.for_queue("q").containers

    assert rules == ContainerRules(user=user.strip("'"))


def test_the_cleanup_of_the_engine_is_read(read: Read, refuse: Refuse) -> None:
    text = "launchd: {docker: {cleanup: {above_percent: 70, below_percent: %s, interval_seconds: 0}}}"

    read_cleanup = read(text % 50).config.launchd.docker.cleanup
    assert read_cleanup == EngineCleanupConfig(70.0, 50.0, interval_seconds=0.0)
    assert "must not be more than above_percent (70)" in "".join(refuse(text % 71))
    assert "must be a number between 0 and 100" in "".join(refuse(text % 101))
