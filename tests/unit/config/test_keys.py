"""Every key is read, W&B's and those below `launchd`; each wrong one is reported in a sentence, all at once."""

import pytest

from ipc.settings import BuilderConfig, EnvironmentConfig, HooksConfig, JobLimits, RegistryConfig
from launchd.config import Flags, PolicyRules
from launchd.config.model import HistoryConfig
from tests.unit.config.conftest import SERVING, Read, Refuse

WANDB = """
entity: team
queues: [a]
max_jobs: "5"
max_schedulers: null
secure_mode: true
verbosity: 2
stopped_run_timeout: 30
builder:
  type: kaniko
  destination: https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/images
  platform: linux/arm64
  build-context-store: s3://bucket/contexts/
  build-job-name: builds
  secret-name: s
  secret-key: k
  kaniko-image: registry.example/kaniko:1
  kaniko-config: {spec: {ttlSecondsAfterFinished: 5}}
registry: {type: gcr, region: r, repository: o, image-name: i, project: p}
environment: {type: aws, region: eu-west-1}
"""

LAUNCHD = """
launchd:
  base_url: http://queues.example:8080/
  api_key_file: ~/key
  state_dir: /data
  runtime_dir: /run/agent
  log_format: json
  jobs:
    stop_grace_seconds: 0
    output_max_bytes: 1 MiB
    control_group: /sys/fs/cgroup/jobs
    limits: {memory: 4 GiB, processors: 0.5, processes: 100}
    max_runtime_seconds: 86400
    queues: {short: {max_runtime_seconds: 60, environment: {B: of the queue, D: null}}, long: {}}
    environment: {A: 1, B: "of all", C: null}
    umask: "027"
  venv: {cache_max_bytes: 2GiB, pip_args: [--index-url, "https://pypi.example"]}
  policy:
    resources: [local-process, fake]
    run_as_user: root
    queues: {q: {allow_local_git: true}}
  supervision: {spare_workers: 0}
  hooks: {before: [/bin/true, -x], timeout_seconds: 5}
  history: {keep_jobs: 10, keep_days: 0.5}
"""


def test_all_keys_of_wandb_are_read(read: Read) -> None:
    config = read(WANDB).config

    assert (config.max_jobs, config.max_schedulers, config.secure_mode, config.stopped_run_timeout) == (5, 1, True, 30)
    assert config.builder == BuilderConfig(
        type="kaniko",
        destination="123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/images",
        platform="linux/arm64",
        build_context_store="s3://bucket/contexts",
        build_job_name="builds",
        secret_name="s",
        secret_key="k",
        kaniko_image="registry.example/kaniko:1",
        kaniko_config={"spec": {"ttlSecondsAfterFinished": 5}},
    )
    assert config.registry == RegistryConfig(type="gcr", region="r", repository="o", image_name="i", project="p")
    assert config.environment == EnvironmentConfig("aws", "eu-west-1")


def test_all_sections_of_launchd_are_read(read: Read) -> None:
    settings = read(LAUNCHD, HOME="/root").config.launchd

    assert (settings.base_url, settings.state_dir) == ("http://queues.example:8080", "/data")
    assert settings.log_format == "json"
    assert (settings.jobs.stop_grace_seconds, settings.jobs.output_max_bytes) == (0, 1 << 20)
    assert (settings.venv.cache_max_bytes, settings.venv.pip_args) == (2 << 30, ("--index-url", "https://pypi.example"))
    assert settings.supervision.spare_workers == 0
    assert settings.jobs.control_group == "/sys/fs/cgroup/jobs"
    assert settings.hooks == HooksConfig(before=("/bin/true", "-x"), timeout_seconds=5)
    assert settings.history == HistoryConfig(10, 0.5)
    assert settings.jobs.limits == JobLimits(4 << 30, 0.5, 100)
    assert settings.jobs.umask == "027"
    agent = {"C": "the agent's", "D": "its too", "E": "kept"}
    assert settings.jobs.variables("long", agent) == {"A": "1", "B": "of all", "C": "the agent's"}
    assert settings.jobs.variables("short", {"D": "d"}) == {"A": "1", "B": "of the queue", "D": "d"}
    assert [settings.jobs.runtime_limit(queue) for queue in ("short", "long", "other")] == [60, 86400, 86400]


def test_the_rules_of_a_queue_have_those_of_all_as_defaults(read: Read) -> None:
    policy = read(LAUNCHD).config.launchd.policy

    assert policy.for_queue("q") == PolicyRules(("local-process", "fake"), "root", allow_local_git=True)
    assert not policy.for_queue("other").allow_local_git


def test_an_empty_file_and_empty_sections_are_the_defaults(read: Read) -> None:
    empty = "builder: {}\nregistry: {}\nenvironment: {}\nlaunchd:\n  jobs:\n"

    assert read(empty).config == read("").config


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_job: 2", "1: max_job: there is no such key. Did you mean max_jobs?"),
        ("builder: {type: noop, build_job_name: x}", "1: builder.build_job_name: there is no such key."),
        ("launchd: {jobs: {stop_grace: 1}}", "there is no such key. Did you mean stop_grace_seconds?"),
        ("base_url: http://x", "1: base_url: there is no such key. It stands below launchd: launchd.base_url."),
        ("zzzz: 1", "1: zzzz: there is no such key. Known here: entity, queues,"),
        ("max_jobs: -2", "1: max_jobs: -2 must be between 0 and 1000000, or -1 for no limit."),
        ("max_jobs: 1.5", "1: max_jobs: 1.5 must be a whole number."),
        ("max_jobs: many", "1: max_jobs: 'many' must be a whole number."),
        ("max_jobs: true", "1: max_jobs: True must be a whole number."),
        (f"max_jobs: 0x{'f' * 9000}", "a number of that many digits must be a whole number of reasonable size."),
        ("secure_mode: maybe", "1: secure_mode: 'maybe' must be true or false."),
        ("queues: a", "1: queues: 'a' must be a list: write [a]."),
        ("queues: [a, 2]", "1: queues: this list has 2, which is no name: write a name, in quotes"),
        ("queues: ['']", "1: queues: this list has '', which is no name: write a name"),
        ("queues: {a: b}", "1: queues: this mapping must be a list of names."),
        ("queue: [a]", "1: queue: this list must be text."),
        ("entity: 2020-01-01", "must be text."),
        ("stopped_run_timeout: -1", "-1 must be 0 or more."),
        ("builder: [docker]", "1: builder: this list must be a mapping."),
        (
            "builder: {destination: x/y}",
            "builder.type: is missing. It is docker, buildah, buildah-pod, kaniko or noop.",
        ),
        ("builder: {type: podman}", "1: builder.type: 'podman' must be docker, buildah, buildah-pod, kaniko or noop."),
        ("builder: {type: [docker]}", "builder.type: this list must be docker, buildah, buildah-pod, kaniko or noop."),
        ("builder: {type: kaniko, secret-name: s}", "secret-name and secret-key go together: give both or neither."),
        ("builder: {type: kaniko, build-context-store: /x}", "must be s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or https"),
        ("registry: {type: harbor}", "registry.type: 'harbor' must be ecr, gcr, acr, local or plain."),
        ("environment: {region: r}", "environment.type: is missing. It is aws, gcp or azure."),
        ("environment: {type: gcp}", "environment.region: is missing: gcp needs it."),
        ("launchd: yes please", "1: launchd: 'yes please' must be a mapping."),
        ("launchd: {jobs: [1]}", "1: launchd.jobs: this list must be a mapping."),
        ("launchd: {jobs: {umask: 027}}", "launchd.jobs.umask: 23 must be octal digits in quotes, such as '027'."),
        (
            "launchd: {jobs: {environment: {A B: x}}}",
            "this mapping has 'A B', which is no name of a variable",
        ),
        ("launchd: {jobs: {environment: {A: yes}}}", "environment: this mapping must have text for A, or nothing"),
        (
            "launchd: {jobs: {queues: {q: {environment: [A=1]}}}}",
            "queues.q.environment: this list must be a mapping.",
        ),
        ("launchd: {jobs: {limits: [1]}}", "1: launchd.jobs.limits: this list must be a mapping."),
        ("launchd: {jobs: {limits: {cpus: 1}}}", "launchd.jobs.limits.cpus: there is no such key."),
        ("launchd: {jobs: {limits: {memory: lots}}}", "limits.memory: 'lots' must be a number of bytes above 0"),
        ("launchd: {jobs: {limits: {processors: 0}}}", "limits.processors: 0 must be a number of processors above 0"),
        ("launchd: {jobs: {limits: {processors: .nan}}}", "must be a number of processors above 0"),
        ("launchd: {jobs: {limits: {processes: 0}}}", "limits.processes: 0 must be 1 or more."),
        ("launchd: {base_url: localhost}", "must be an address such as http://HOST:PORT or https://HOST."),
        ("launchd: {state_dir: here}", "launchd.state_dir: 'here' must be an absolute path."),
        ("launchd: {state_dir: ~no-such-user/x}", "begins with the home directory of a user whom this host does not"),
        (f"launchd: {{runtime_dir: /run, state_dir: /{'x/' * 1000}}}", "is too long a path, or no text, to hold the"),
        (f"launchd: {{runtime_dir: /{'x' * 100}}}", "is too long a path to hold the control socket."),
        ("launchd: {jobs: {stop_grace_seconds: -1}}", "must be 0 seconds or more."),
        ("launchd: {jobs: {stop_grace_seconds: .nan}}", "must be a number of seconds."),
        ("launchd: {jobs: {output_max_bytes: 1 MB}}", "must be a number of bytes above 0"),
        ("launchd: {venv: {pip_args: --pre}}", "must be a list of texts."),
        ("launchd: {venv: {install_user: 12}}", "the name of a user of this host, or a number between 1000 and"),
        ("launchd: {venv: {install_user: nobody-here}}", "must be the name of a user of this host."),
        ("launchd: {venv: {install_user: root}}", "must not be root."),
        ("launchd: {venv: {install_user: nobody}, policy: {run_as_user: nobody}}", "must be no user of jobs."),
        ("launchd: {venv: {install_user: 70003}, policy: {run_as_users: 70000-70099}}", "must be no user of jobs."),
        ("launchd: {policy: {run_as_user: nobody-here}}", "must be the name of a user of this host."),
        ("launchd: {policy: {git_transports: [ext]}}", "has 'ext': each must be https, ssh, http or git."),
        ("launchd: {policy: {queues: [a]}}", "launchd.policy.queues: this list must be a mapping."),
        ("launchd: {policy: {queues: {a: {resource: []}}}}", "queues.a.resource: there is no such key. Did you mean"),
        ("launchd: {supervision: {worker_silence_seconds: 5}}", "must be more than worker_heartbeat_seconds (10)."),
    ],
)
def test_a_wrong_setting_is_reported_in_one_sentence(refuse: Refuse, text: str, sentence: str) -> None:
    [line] = refuse(text, Flags() if text.startswith("queue") else SERVING)

    assert line.startswith("launch-config.yaml:1: ")
    assert sentence in line


def test_all_wrong_settings_are_reported_at_once(refuse: Refuse) -> None:
    lines = refuse(
        "max_jobs: x\nqueue_s: [a]\nlaunchd:\n  jobs:\n    max_attempts: 0\n", WANDB_LAUNCH_START_TIMEOUT="x"
    )

    assert lines == [
        "launch-config.yaml:2: queue_s: there is no such key. Did you mean queues?",
        "launch-config.yaml:1: max_jobs: 'x' must be a whole number.",
        "$WANDB_LAUNCH_START_TIMEOUT: launchd.jobs.start_timeout_seconds: 'x' must be a number of seconds.",
        "launch-config.yaml:5: launchd.jobs.max_attempts: 0 must be 1 or more.",
    ]


def test_a_section_is_reported_with_the_line_of_its_key_also_for_a_missing_key(refuse: Refuse) -> None:
    lines = refuse("max_jobs: 1\nbuilder:\n  destination: x/y\nregistry:\n  - a\n")

    assert lines == [
        "launch-config.yaml:2: builder.type: is missing. It is docker, buildah, buildah-pod, kaniko or noop.",
        "launch-config.yaml:4: registry: this list must be a mapping.",
    ]


def test_a_variable_is_named_where_it_is_wrong(refuse: Refuse) -> None:
    [line] = refuse("max_jobs: 3", WANDB_LAUNCH_MAX_JOBS="lots")

    assert line == "$WANDB_LAUNCH_MAX_JOBS: max_jobs: 'lots' must be a whole number."


@pytest.mark.parametrize(("text", "meant"), [("'false'", False), ("'True'", True), ("false", False), ("off", False)])
def test_secure_mode_in_quotes_means_what_it_says(read: Read, text: str, meant: bool) -> None:
    assert read(f"secure_mode: {text}").config.secure_mode is meant


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("environment: {type: gcp, region: r, zone: z}", "environment.zone: this key has no effect"),
        ("builder: {type: noop, uri: x}", "builder.uri: this key has no effect"),
        (
            "builder: {type: docker, destination: reg.example:5000/a/b}",
            "this is none of ECR, Artifact Registry and ACR",
        ),
        ("max_jobs: 1\nmax_jobs: 2", "launch-config.yaml:2: max_jobs: this stands there more than once"),
        ("launchd: {policy: {queues: {z: {}}}}", "queues.z: this agent does not serve the queue"),
    ],
)
def test_settings_with_an_unexpected_effect_give_a_warning(read: Read, text: str, warning: str) -> None:
    [said] = read(text).warnings

    assert warning in said


def test_azure_needs_no_region_and_ecr_takes_both_names_of_its_repository(read: Read) -> None:
    config = read("environment: {type: azure}\nregistry: {type: ecr, account_id: '1', region: r, repo_name: n}").config

    assert config.environment == EnvironmentConfig("azure")
    assert config.registry == RegistryConfig("ecr", account_id="1", region="r", repository="n")


def test_what_the_server_sees_holds_no_paths_and_no_secrets(read: Read) -> None:
    shown = read(WANDB + LAUNCHD).config.public()

    assert shown["queues"] == ["q"]
    assert not {"launchd", "builder", "registry", "environment"} & shown.keys()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("user_numbers: 200000-265534", "must have 65536 numbers for each build at a time, and has 65535"),
        ("user_numbers: 200000", "must be a range of numbers, such as 200000-265535"),
        ("user_numbers: 1-65536", "must be a range between 1000 and"),
        ("storage_driver: btrfs", "must be overlay or vfs"),
    ],
)
def test_settings_of_buildah_that_cannot_be_are_refused(refuse: Refuse, text: str, why: str) -> None:
    [line] = refuse(f"launchd: {{buildah: {{{text}}}}}")

    assert why in line


def test_builds_and_jobs_have_different_users(refuse: Refuse) -> None:
    policy = "policy: {run_as_users: 200100-200199}"
    [line] = refuse(f"launchd: {{{policy}, buildah: {{user_numbers: 200000-265535}}}}")

    assert "launchd.buildah.user_numbers: must be no numbers of launchd.policy.run_as_users" in line


def test_a_registrys_user_has_a_password(refuse: Refuse) -> None:
    [line] = refuse("launchd: {registry: {username: ada}}")

    assert "username and password_file go together: give both or neither" in line
