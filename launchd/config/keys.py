"""Every key of the configuration with its validator, a table for each section. Owns their names; reads nothing."""

from collections.abc import Mapping
from typing import Any

from ipc.targets import BUILDER_TYPES, CLOUDS, REGISTRIES
from launchd.config import user_validators, validators
from launchd.config.images import image_repository
from launchd.config.presets import PRESETS
from launchd.config.validators import Validator

Table = Mapping[str, Validator[Any] | None]  # None: W&B's agent accepts the key and ignores it

TOP: Table = {
    "entity": validators.text,
    "queues": validators.names,
    "queue": validators.text,
    "max_jobs": validators.job_limit,
    "max_schedulers": validators.job_limit,
    "secure_mode": validators.boolean,
    "verbosity": validators.at_least(0),
    "stopped_run_timeout": validators.at_least(0),
}

BUILDER: Table = {
    "type": validators.choice(*BUILDER_TYPES),
    "destination": image_repository,
    "platform": validators.choice("linux/amd64", "linux/arm64"),
    "build-context-store": validators.object_store,
    "build-job-name": validators.text,
    "secret-name": validators.text,
    "secret-key": validators.text,
    "kaniko-image": validators.text,
    "kaniko-config": validators.mapping,
    "kaniko_config": validators.mapping,
    "credentials": None,
    "uri": None,
}

REGISTRY: Table = {
    "type": validators.choice(*REGISTRIES),
    "uri": image_repository,
    "account_id": validators.text,
    "region": validators.text,
    "repository": validators.text,
    "repo_name": validators.text,
    "image-name": validators.text,
    "project": validators.text,
    "credentials": None,
}

ENVIRONMENT: Table = {
    "type": validators.choice(*(cloud.environment for cloud in CLOUDS)),
    "region": validators.text,
    "project": validators.text,
}

LAUNCHD: Table = {
    "base_url": validators.url,
    "api_key_file": validators.absolute_path,
    "state_dir": validators.absolute_path,
    "runtime_dir": validators.absolute_path,
    "log_format": validators.choice("text", "json"),
}

JOBS: Table = {
    "stop_grace_seconds": validators.seconds_or_zero,
    "start_timeout_seconds": validators.seconds_or_never,
    "max_runtime_seconds": validators.seconds_or_never,
    "init_grace_seconds": validators.seconds_or_zero,
    "max_attempts": validators.at_least(1),
    "output_max_bytes": validators.size,
    "output_files": validators.at_least(1),
    "keep_finished": validators.at_least(1),
    "keep_days": validators.days,
    "control_group": validators.absolute_path,
    "environment": validators.variables,
    "umask": validators.umask,
}

QUEUE_JOBS: Table = {
    "max_runtime_seconds": validators.seconds_or_never,
    "environment": validators.variables,
}

LIMITS: Table = {
    "memory": validators.size,
    "processors": validators.processors,
    "processes": validators.at_least(1),
    "disk": validators.size,
}

VENV: Table = {
    "cache_dir": validators.absolute_path,
    "cache_max_bytes": validators.size,
    "cache_keep_days": validators.days,
    "no_progress_timeout_seconds": validators.positive_seconds,
    "pip_args": validators.strings,
    "python": validators.absolute_path,
    "pythons": validators.granted_paths(),
    "fetch_pythons": validators.boolean,
    "install_user": user_validators.user_or_number,
    "pass_index_settings": validators.boolean,
}

DOCKER: Table = {
    "host": validators.engine_address,
    "pull_no_progress_seconds": validators.positive_seconds,
    "unavailable_seconds": validators.seconds_or_zero,
    "base_image": validators.text,
    "build_no_progress_seconds": validators.positive_seconds,
    "build_network": validators.text,
}

REGISTRY_ACCESS: Table = {
    "docker_config": validators.absolute_path,
    "username": validators.text,
    "password_file": validators.absolute_path,
    "ca_file": validators.absolute_path,
    "insecure": validators.boolean,
    "timeout_seconds": validators.positive_seconds,
}

BUILDAH: Table = {
    "storage_dir": validators.absolute_path,
    "storage_driver": validators.choice("overlay", "vfs"),
    "cache_max_bytes": validators.size,
    "user_numbers": user_validators.subordinate_numbers,
    "no_progress_seconds": validators.positive_seconds,
    "timeout_seconds": validators.positive_seconds,
}

KUBERNETES: Table = {
    "config_file": validators.absolute_path,
    "context": validators.text,
    "namespace": validators.namespace,
    "timeout_seconds": validators.positive_seconds,
    "pull_secrets": validators.boolean,
    "code_claim": validators.text,
    "code_claim_directory": validators.absolute_path,
}

POD_BUILDS: Table = {
    "image": validators.text,
    "namespace": validators.namespace,
    "service_account": validators.text,
    "claim": validators.text,
    "claim_directory": validators.absolute_path,
    "no_progress_seconds": validators.positive_seconds,
    "timeout_seconds": validators.positive_seconds,
}

KUBERNETES_RULES: Table = {
    "images": validators.names,
    "namespaces": validators.names,
    "contexts": validators.names,
    "config_files": validators.granted_paths(),
    "service_accounts": validators.names,
    "custom_resources": validators.names,
    "services": validators.names,
    "host_paths": validators.granted_paths(),
    "fields": validators.names,
    "host_variables": validators.names,
}

VERTEX: Table = {
    "endpoint": validators.url,
    "logging_endpoint": validators.url,
    "poll_seconds": validators.positive_seconds,
    "log_poll_seconds": validators.positive_seconds,
    "timeout_seconds": validators.positive_seconds,
}

VERTEX_RULES: Table = {
    "images": validators.names,
    "buckets": validators.names,
    "service_accounts": validators.names,
    "networks": validators.names,
    "fields": validators.names,
    "host_variables": validators.names,
}

AWS: Table = {
    "profile": validators.text,
    "role_arn": validators.text,
    "external_id": validators.text,
    "create_repositories": validators.boolean,
    "poll_seconds": validators.positive_seconds,
}

CLEANUP: Table = {
    "above_percent": validators.percent,
    "below_percent": validators.percent,
    "keep_seconds": validators.seconds_or_zero,
    "interval_seconds": validators.seconds_or_zero,
}

CONTAINERS: Table = {
    "images": validators.names,
    "mounts": validators.granted_paths("ro", "rw"),
    "volumes": validators.names,
    "devices": validators.granted_paths("r", "w", "m", "rw", "rm", "wm", "rwm"),
    "networks": validators.names,
    "capabilities": validators.names,
    "users": validators.names,
    "host_variables": validators.names,
    "env_files": validators.granted_paths(),
    "flags": validators.names,
    "user": user_validators.container_user,
    "no_new_privileges": validators.boolean,
}

CONTAINER_LIMITS: Table = {
    "memory": validators.size,
    "processors": validators.processors,
    "processes": validators.at_least(1),
    "shared_memory": validators.size,
    "disk": validators.size,
    "health_check_seconds": validators.seconds_or_zero,
}

SAGEMAKER: Table = {
    "roles": validators.names,
    "instance_types": validators.names,
    "images": validators.names,
    "outputs": validators.names,
    "regions": validators.names,
    "profiles": validators.names,
    "subnets": validators.names,
    "security_groups": validators.names,
    "fields": validators.names,
    "host_variables": validators.names,
    "instances": validators.at_least(1),
    "runtime_seconds": validators.at_least(1),
    "volume_gib": validators.at_least(1),
}

POLICY: Table = {
    "preset": validators.choice(*PRESETS),
    "resources": validators.resources,
    "run_as_user": user_validators.user,
    "run_as_users": user_validators.user_numbers,
    "allow_root_jobs": validators.boolean,
    "git_credentials": validators.boolean,
    "allow_local_git": validators.boolean,
    # Transports with helper programs (`ext::`) run commands of the submitter: they cannot be granted.
    "git_transports": validators.choices("https", "ssh", "http", "git"),
    "git_submodules": validators.boolean,
    "allow_venv": validators.boolean,
}

SUPERVISION: Table = {
    "worker_heartbeat_seconds": validators.positive_seconds,
    "worker_silence_seconds": validators.positive_seconds,
    "fork_server_silence_seconds": validators.positive_seconds,
    "fetch_timeout_seconds": validators.positive_seconds,
    "build_timeout_seconds": validators.positive_seconds,
    "submit_timeout_seconds": validators.positive_seconds,
    "spare_workers": validators.at_least(0),
    "poll_seconds": validators.positive_seconds,
    "wait_seconds": validators.positive_seconds,
    "server_silence_seconds": validators.positive_seconds,
}

GPUS: Table = {
    "manage": validators.boolean,
    "devices": validators.gpus,
    "probe_seconds": validators.positive_seconds,
    "probe_timeout_seconds": validators.positive_seconds,
    "fast_failures": validators.at_least(0),
    "fast_failure_seconds": validators.positive_seconds,
    "set_aside_seconds": validators.positive_seconds,
}

HISTORY: Table = {
    "keep_jobs": validators.at_least(1),
    "keep_days": validators.days,
}

HOOKS: Table = {
    "before": validators.command,
    "after": validators.command,
    "job_before": validators.command,
    "job_after": validators.command,
    "timeout_seconds": validators.positive_seconds,
}

METRICS: Table = {
    "listen": validators.listen_address,
    "remote": validators.boolean,
}

SECTIONS = (
    "jobs",
    "venv",
    "docker",
    "kubernetes",
    "vertex",
    "registry",
    "buildah",
    "aws",
    "policy",
    "supervision",
    "gpus",
    "history",
    "hooks",
    "metrics",
)
