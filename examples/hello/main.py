"""The smallest job: prints its host, directory, run and configuration."""

import os
import platform
from pathlib import Path

print(f"Hello from {platform.node()}, Python {platform.python_version()}, in {Path.cwd()}")
print(f"run {os.environ.get('WANDB_RUN_ID')} from queue {os.environ.get('WANDB_LAUNCH_QUEUE_NAME')}")
print(f"configuration {os.environ.get('WANDB_CONFIG')}")
