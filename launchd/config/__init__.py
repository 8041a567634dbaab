"""An agent's configuration: W&B's `launch-config.yaml`, with further settings under the key `launchd`.

Import from here. `yaml_file.py` reads the file, `schema.py` has every key, `loader.py` the order of precedence.
"""

from ipc.policy_rules import PolicyRules
from ipc.settings import SupervisionConfig
from launchd.config.diagnostics import ConfigError, Problem
from launchd.config.job_users import check_job_users
from launchd.config.loader import (
    SYSTEM_STATE_DIR,
    Flags,
    LoadedConfig,
    default_runtime_dir,
    default_state_dir,
    from_values,
    likely_runtime_dir,
    load,
    usual_files,
)
from launchd.config.model import AgentConfig, LaunchdConfig, PolicyConfig

__all__ = [
    "SYSTEM_STATE_DIR",
    "AgentConfig",
    "ConfigError",
    "Flags",
    "LaunchdConfig",
    "LoadedConfig",
    "PolicyConfig",
    "PolicyRules",
    "Problem",
    "SupervisionConfig",
    "check_job_users",
    "default_runtime_dir",
    "default_state_dir",
    "from_values",
    "likely_runtime_dir",
    "load",
    "usual_files",
]
