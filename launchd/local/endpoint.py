"""Resolves the queue server that commands and programs use, and the key for it.

Owns the order: the given address, WANDB_BASE_URL, the `launchd up` of this machine, W&B's settings, W&B's cloud.
"""

from collections.abc import Mapping
from pathlib import Path

from launchd.client.credentials import ApiKey, ApiKeyNotFound, BaseUrl, find_api_key, find_base_url
from launchd.local.instance import InstanceInfo, LocalInstance, default_directory, running_instance


def resolve_endpoint(
    url: str | None, state_dir: Path | None, environ: Mapping[str, str], api_key: str | None = None
) -> tuple[BaseUrl, ApiKey]:
    """Return the address of the queue server and the key for it, which is ``api_key`` if that is given.

    ``state_dir`` is the directory of `launchd up`, ``None`` for the default one.

    Raises:
        ApiKeyNotFound: there is no key for it. `InstanceNotRunning`: no `up` runs over the given ``state_dir``.
    """
    named = url or environ.get("WANDB_BASE_URL")
    info = None if named else running_instance(state_dir)
    if info is not None:
        # Not WANDB_API_KEY: without WANDB_BASE_URL, it is the key of W&B's cloud.
        key = _given(api_key) if api_key else find_api_key(info.url, {}, info.key_file)
        return BaseUrl(info.url, "`launchd up`"), key
    address = BaseUrl(url.rstrip("/"), "--url") if url else find_base_url(environ)
    return address, _given(api_key) if api_key else _key(address.url, bool(named), state_dir, environ)


def _given(api_key: str) -> ApiKey:
    return ApiKey(api_key, "given")


def _key(address: str, named: bool, state_dir: Path | None, environ: Mapping[str, str]) -> ApiKey:
    info: InstanceInfo | None = LocalInstance(state_dir or default_directory(environ)).info()
    key_file = info.key_file if info and info.url == address else None
    try:
        return find_api_key(address, environ, key_file)
    except ApiKeyNotFound as error:
        if named:
            raise
        raise ApiKeyNotFound(
            f"No queue server is known here: `launchd up` does not run, WANDB_BASE_URL is not set. {error}"
        ) from None
