"""Fixtures that load a text as a configuration file, each in a home directory of its own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from launchd.config import ConfigError, Flags, LoadedConfig, load
from launchd.config.json_schema import shipped

Read = Callable[..., LoadedConfig]
Refuse = Callable[..., list[str]]

SCHEMA = Draft7Validator(json.loads(shipped()))

#: Whoever runs the tests: below pytest's directories the path of the control socket may be too long.
RUNTIME_DIR = "/run/user/1000"

SERVING = Flags(queues=("q",))


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The variables of a user who has nothing at home yet."""
    return {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": RUNTIME_DIR}


@pytest.fixture
def read(tmp_path: Path, home: dict[str, str]) -> Read:
    """Loads a text as the configuration file; variables by name."""

    def reader(text: str | bytes, flags: Flags = SERVING, **environ: str) -> LoadedConfig:
        path = tmp_path / "launch-config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        loaded = load(str(path), home | environ, flags)
        # The JSON Schema takes all that the loader takes.
        SCHEMA.validate(yaml.safe_load(path.read_text(encoding="utf-8-sig")))
        return loaded

    return reader


@pytest.fixture
def refuse(read: Read, tmp_path: Path) -> Refuse:
    """Loads a text that cannot be used; returns the sentences, without the directory of the file."""

    def refuser(text: str | bytes, flags: Flags = SERVING, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text, flags, **environ)
        return [line.replace(f"{tmp_path}/", "") for line in str(caught.value).splitlines()]

    return refuser
