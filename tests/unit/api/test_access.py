"""Server, key, entity and project of an `Api`, and W&B's objects in its place."""

from pathlib import Path
from typing import Any

import pytest

from launchd import Api, LaunchError
from launchd.api.access import Access, as_access

URL = "http://127.0.0.1:9"
KEY, OTHER = "k" * 40, "o" * 40


@pytest.fixture(autouse=True)
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of a user without any settings."""
    for name in ("BASE_URL", "API_KEY", "ENTITY", "PROJECT"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LAUNCHD_STATE_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_environment_sets_everything(environ: pytest.MonkeyPatch) -> None:
    for name, value in {"BASE_URL": URL, "API_KEY": KEY, "ENTITY": "me", "PROJECT": "vision"}.items():
        environ.setenv(f"WANDB_{name}", value)
    api = Api()

    assert (api.base_url, api.api_key, api.default_entity, api.default_project) == (URL, KEY, "me", "vision")


def test_netrc_and_settings_files_set_everything(tmp_path: Path) -> None:
    write(tmp_path / ".netrc", f"machine 127.0.0.1:9\n  login user\n  password {KEY}\n")
    (tmp_path / ".netrc").chmod(0o600)
    write(tmp_path / ".config/wandb/settings", f"[default]\nbase_url = {URL}\nentity = me\nproject = vision\n")
    api = Api()

    assert (api.base_url, api.api_key) == (URL, KEY)
    assert api.settings == {"base_url": URL, "entity": "me", "project": "vision"}


def test_arguments_win(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("WANDB_API_KEY", OTHER)
    environ.setenv("WANDB_ENTITY", "them")
    api = Api({"base_url": "http://127.0.0.1:10", "entity": "you"}, api_key=KEY, base_url=URL, project="p")

    assert (api.base_url, api.api_key, api.default_entity, api.default_project) == (URL, KEY, "you", "p")


def test_a_project_is_always_known() -> None:
    assert Api(base_url=URL, api_key=KEY).default_project == "uncategorized"


def test_the_key_stays_out_of_sight() -> None:
    assert KEY not in repr(Api(base_url=URL, api_key=KEY))


def test_a_missing_key_is_an_error_at_once() -> None:
    with pytest.raises(LaunchError, match=f"There is no API key for {URL}"):
        Api(base_url=URL)


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(LaunchError, match="'localhost:8780' is not the address of a queue server"):
        Api(base_url="localhost:8780", api_key=KEY)


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(LaunchError, match="Did you mean 'base_url'"):
        Api({"base_uri": URL})


class PublicApi:
    """As `wandb.Api`: settings are a mapping."""

    api_key: str | None = KEY
    settings: Any = {"base_url": URL, "entity": None, "project": "vision", "run": None}  # noqa: RUF012 - as it is there


class InternalApi:
    """As `wandb.apis.internal.Api`: `settings` is a method that returns one value or all."""

    api_key: str | None = KEY

    def settings(self, key: str | None = None) -> Any:
        values = {"base_url": URL, "entity": "me", "project": "vision"}
        return values if key is None else values[key]


@pytest.mark.parametrize("wandb_api", [PublicApi(), InternalApi()], ids=["public", "internal"])
def test_wandbs_objects_are_accepted(wandb_api: PublicApi | InternalApi) -> None:
    access = as_access(wandb_api)

    assert (access.base_url, access.api_key, access.default_project) == (URL, KEY, "vision")


def test_the_missing_key_of_wandbs_object_is_searched(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("WANDB_API_KEY", OTHER)
    wandb_api = PublicApi()
    wandb_api.api_key = None

    assert as_access(wandb_api).api_key == OTHER


def test_an_api_of_launchd_is_used_unchanged(environ: pytest.MonkeyPatch) -> None:
    api = Api(base_url=URL, api_key=KEY)
    environ.setenv("WANDB_API_KEY", OTHER)

    assert as_access(api) is api
    assert type(as_access(None)) is Access


def test_what_is_no_api_is_refused() -> None:
    with pytest.raises(LaunchError, match=r"Pass launchd\.Api\(\), wandb\.Api\(\) or None"):
        as_access("http://127.0.0.1:9")  # type: ignore[arg-type]
