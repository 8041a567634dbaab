"""Every YAML block of W&B's documentation loads, each alternative of it, and does what the text beside it says.

That a builder, a registry or a cloud does its work is tested beside its code; here is tested that the block chooses it.
"""

from typing import Any

import pytest

from ipc.settings import BuilderConfig, EnvironmentConfig, RegistryConfig
from ipc.targets import BUILDERS, choose_builder
from launchd.config import Flags, LoadedConfig
from launchd.config.images import push_target
from tests.unit.config.conftest import SERVING, Read, Refuse
from tests.unit.config.published import BLOCKS, WHOLE_FILE, Block, alternatives, filled

BY_NAME = {block.name: block for block in BLOCKS}
EACH = [
    pytest.param(text, id=f"{block.name}, {number}")
    for block in BLOCKS
    for number, text in enumerate(alternatives(filled(block)), 1)
]
AWS = EnvironmentConfig("aws", "us-east-1")
GCP = EnvironmentConfig("gcp", "us-central1", "my-project-123")

KANIKO = BuilderConfig(
    type="kaniko", build_context_store="s3://my-bucket/build-contexts", build_job_name="wandb-image-build"
)
WITH_SECRET = BuilderConfig(
    type="kaniko",
    build_context_store="gs://my-bucket/contexts",
    secret_name="cloud-credentials",
    secret_key="key.json",
)


def choices(text: str) -> Flags:
    """A block without queues is loaded for an agent that has them on its command line."""
    return Flags() if "queues:" in text else SERVING


def complete(text: str) -> str:
    """The block of a whole file names kinds of environments alone: their own blocks say that they need more."""
    return text.replace("  type: aws\n", "  type: aws\n  region: us-east-1\n").replace(
        "environment:\n  type: gcp\n", "environment:\n  type: gcp\n  region: us-central1\n  project: my-project-123\n"
    )


def loaded(read: Read, name: str, which: int = 0) -> LoadedConfig:
    text = alternatives(filled(BY_NAME[name]))[which]
    return read(complete(text) if name == "whole file" else text, choices(text))


def test_there_are_as_many_blocks_as_the_pages_have() -> None:
    assert len(BLOCKS) == 11
    assert len(EACH) == 15


@pytest.mark.parametrize("text", EACH)
def test_each_block_loads(read: Read, text: str) -> None:
    whole = complete(text) if "max_jobs" in text else text

    assert read(whole, choices(text)).config.queues


@pytest.mark.parametrize("block", [block for block in BLOCKS if "<" in block.text], ids=lambda block: block.name)
def test_a_placeholder_that_was_left_is_a_sentence(refuse: Refuse, block: Block) -> None:
    said = refuse(complete(alternatives(block.text)[0]), choices(block.text))

    assert len(said) == block.text.count("<")
    assert all("a placeholder of an example: write what it stands for." in line for line in said)


@pytest.mark.parametrize(
    ("name", "keys"),
    [("whole file", ["builder.type", "registry.type", "environment.type"]), ("builder", ["builder.type"])],
)
def test_alternatives_that_were_left_are_sentences(refuse: Refuse, name: str, keys: list[str]) -> None:
    said = refuse(filled(BY_NAME[name]), choices(BY_NAME[name].text))

    for key, line in zip(keys, said, strict=True):
        assert f"{key}: " in line
        assert " must be " in line


@pytest.mark.parametrize(("name", "queue"), [("whole file", "default"), ("core", "training")])
def test_the_core_settings_are_entity_queues_and_no_limit_of_jobs(read: Read, name: str, queue: str) -> None:
    config = loaded(read, name).config

    assert (config.entity, config.max_jobs, config.queues) == ("my-team", -1, (queue,))


@pytest.mark.parametrize(("name", "expected"), [("environment aws", AWS), ("environment gcp", GCP)])
def test_an_environment_has_region_and_project(read: Read, name: str, expected: EnvironmentConfig) -> None:
    assert loaded(read, name).config.environment == expected


def test_a_repository_of_ecr_is_known_by_its_name_in_the_environments_region(read: Read) -> None:
    found = loaded(read, "registry ecr")

    # The account is asked of AWS: tests/contract/clouds/test_aws.py. The dot at the end is the page's own slip.
    assert push_target(found.config.builder, found.config.registry, AWS) == RegistryConfig(
        "ecr", repository="my-ecr-repo"
    )
    assert "it is read as my-ecr-repo" in found.warnings[0]


def test_an_image_of_artifact_registry_is_in_the_environments_region_and_project(read: Read) -> None:
    found = loaded(read, "registry gcr").config.registry

    # Where the project is the environment's or the credentials': tests/unit/workers/registries/test_cloud_tokens.py.
    assert found == RegistryConfig("gcr", repository="my-artifact-repo", image_name="my-image-name")


@pytest.mark.parametrize(
    ("name", "which", "expected"),
    [
        ("builder docker", 0, BuilderConfig(type="docker")),
        ("builder noop", 0, BuilderConfig(type="noop")),
        ("builder kaniko", 0, KANIKO),
        ("builder kaniko with a secret", 0, WITH_SECRET),
        ("builder", 0, BuilderConfig(type="docker")),
        ("builder", 1, BuilderConfig(type="kaniko")),
        ("builder", 2, BuilderConfig(type="noop")),
        ("whole file", 2, BuilderConfig(type="noop")),
    ],
)
def test_a_builder_is_chosen_for_jobs_in_containers(read: Read, name: str, which: int, expected: BuilderConfig) -> None:
    config = loaded(read, name, which).config

    assert config.builder == expected
    assert choose_builder("local-container", config.builder.type) == expected.type
    assert expected.type in BUILDERS


def test_without_these_keys_there_is_no_cloud_no_registry_and_docker_builds(read: Read) -> None:
    config = read("queues: [default]").config

    assert (config.environment, config.registry) == (None, None)
    assert push_target(config.builder, config.registry, config.environment) is None
    assert choose_builder("local-container", config.builder.type) == "docker"


# -- what people type

NO_YAML = "this is no usable YAML"


def test_the_colons_of_the_page_are_named_with_their_lines(refuse: Refuse) -> None:
    said = refuse(WHOLE_FILE)

    assert said[:2] == [
        "launch-config.yaml:14: the fullwidth colon (\uff1a) is text for YAML. Write : and a space.",
        "launch-config.yaml:15: the fullwidth colon (\uff1a) is text for YAML. Write : and a space.",
    ]


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("builder\uff1a\n  type: noop\n", 1, "the fullwidth colon (\uff1a) is text for YAML. Write : and a space."),
        ("builder:\n  type\uff1anoop\n", 2, "the fullwidth colon (\uff1a) is text for YAML."),
        ("registry: {type\uff1aecr}\n", 1, "the fullwidth colon (\uff1a) is text for YAML."),
        ("max_jobs\uff1a3\n", 1, "the fullwidth colon (\uff1a) is text for YAML."),
        ("queues\uff1a[a]\nmax_jobs: 2\n", 1, "the fullwidth colon (\uff1a) is text for YAML."),
        ("queues:\n\u2013 a\nentity: b\n", 2, "the en dash (\u2013) is text for YAML. Write - and a space."),
        (
            "builder: \uff5btype: noop\uff5d\n",
            1,
            "the fullwidth left curly bracket (\uff5b) is text for YAML.",
        ),
        ("builder:\n\ttype: noop\n", 2, "the line begins with a tab, and YAML wants spaces."),
        ("builder:\n\u00a0\u00a0type: noop\n", 2, "the no-break space is text for YAML, and no space."),
        ("builder:\n\u3000type: noop\n", 2, "the ideographic space is text for YAML, and no space."),
        ("builder:\n  type:noop\n", 2, "YAML wants a space after the colon of type. Write type: and a space."),
        ("max_jobs:3\n", 1, "YAML wants a space after the colon of max_jobs."),
        ("queues:\n-default\nentity: b\n", 2, "YAML wants a space after the dash of a list. Write - and a space."),
    ],
)
def test_what_looks_like_yaml_and_is_none_is_named(refuse: Refuse, text: str, line: int, sentence: str) -> None:
    assert refuse(text)[0].startswith(f"launch-config.yaml:{line}: {sentence}")


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("entity: a\n queues: [b]\n", 2, f"{NO_YAML} (mapping values are not allowed in this context). Lines"),
        ("entity: a: b\n", 1, f"{NO_YAML} (mapping values are not allowed in this context). Lines of one level"),
        ("builder:\n  type: noop\n destination: x/y\n", 3, f"{NO_YAML} (did not find expected key). Lines of"),
        ("entity: @me\n", 1, f"{NO_YAML} (found character that cannot start any token). A text that begins"),
        ("queues: [a\n\n\n", 1, f"{NO_YAML} (did not find expected ',' or ']'). A list that begins with ["),
        ("queues: *default\n", 1, f"{NO_YAML} (found undefined alias). A text that begins with * wants"),
        ("entity: 'a\n\n\n", 1, f"{NO_YAML} (found unexpected end of stream). A text that begins with a quote"),
        ("builder:\ntype: noop\n", 2, "type: there is no such key. It stands below builder, registry or"),
        ("registry:\nrepository: x\n", 2, "repository: there is no such key. It stands below registry, with"),
        ("builder: {type:noop}\n", 1, "builder.type:noop: there is no such key. YAML wants a space after"),
        ("base-url: http://x\n", 1, "base-url: there is no such key. It stands below launchd: launchd.base_url."),
        ("launchd: {base-url: http://x}\n", 1, "launchd.base-url: there is no such key. Did you mean base_url?"),
        ("launchd: {baseUrl: http://x}\n", 1, "launchd.baseUrl: there is no such key. Did you mean base_url?"),
        ("launchd: {base_url: 'http://x:port'}\n", 1, "launchd.base_url: 'http://x:port' must be an address"),
        ("launchd: {base_url: 'http://x:99999'}\n", 1, "launchd.base_url: 'http://x:99999' must be an address"),
        ("environment: {type: aws, Region: r}\n", 1, "environment.region: is missing: aws needs it. Write region"),
        ("registry: {type: gcr, image_name: x}\n", 1, "registry.image_name: there is no such key. Did you mean"),
        ("builder: {type: kaniko, secret_name: x}\n", 1, "builder.secret_name: there is no such key. Did you"),
        ("queues: default\n", 1, "queues: 'default' must be a list: write [default]."),
        ("builder: docker\n", 1, "builder: 'docker' must be a mapping."),
        ("max_jobs: '3x'\n", 1, "max_jobs: '3x' must be a whole number."),
        ("entity: 12\n", 1, "entity: 12 must be text."),
    ],
)
def test_what_people_type_is_told_with_what_to_write(refuse: Refuse, text: str, line: int, sentence: str) -> None:
    assert refuse(text, choices(text))[0].startswith(f"launch-config.yaml:{line}: {sentence}")


def test_a_key_of_the_environment_that_is_nearly_one_is_named(read: Read) -> None:
    [warning] = read("environment: {type: azure, regoin: r}\n").warnings

    assert warning.endswith("this key has no effect, and has none in W&B's agent. Did you mean region?")


@pytest.mark.parametrize("text", ["entity: \u201cmy-team\u201d\n", "entity: my\u3000team\n"])
def test_what_looks_like_yaml_is_a_warning_where_the_file_can_be_used(read: Read, text: str) -> None:
    [warning] = read(text).warnings

    assert "is text for YAML" in warning


@pytest.mark.parametrize(
    "text",
    [
        "entity: 'a\uff1ab'\n",
        "entity: team  # the team\uff1aours\n",
        'launchd: {hooks: {before: [/bin/echo, "a\u3000b"]}}\n',
        "builder: {type: noop, destination: 127.0.0.1:5000/images}\n",
        "launchd:\n  base_url: http://127.0.0.1:8080\n  policy: {containers: {mounts: [/data:ro]}}\n",
    ],
)
def test_text_that_is_meant_is_left_alone(read: Read, text: str) -> None:
    assert not [one for one in read(text).warnings if "YAML" in one]


def test_a_file_of_nothing_else_has_a_bounded_error(refuse: Refuse) -> None:
    said: list[Any] = refuse("builder\uff1ax\n" * 10_000)

    assert len(said) == 11
