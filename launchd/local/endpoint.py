"""Which queue server is meant where nobody, or only somebody's environment, names one, and the key for it.

Owns the order: the one named, WANDB_BASE_URL, the `launchd up` of this machine, W&B's settings, W&B's cloud.
"""

from collections.abc import Mapping
from pathlib import Path

from launchd.client.credentials import ApiKey, ApiKeyNotFound, BaseUrl, find_api_key, find_base_url
from launchd.local.instance import InstanceInfo, LocalInstance, default_directory, running_instance


def resolve_endpoint(
    url: str | None, state_dir: Path | None, environ: Mapping[str, str], api_key: str | None = None
) -> tuple[BaseUrl, ApiKey]:
    """Return the address of the queue server and the key for it, ``api_key`` if one was given.

    ``state_dir`` is that of `launchd up`.

    Raises:
        ApiKeyNotFound: there is no key for it. `NotUp`: no `up` runs in the ``state_dir`` that somebody named.
    """
    named = url or environ.get("WANDB_BASE_URL")
    note = None if named else running_instance(state_dir)
    if note is not None:
        # Not WANDB_API_KEY: where only that is set, it is the key of W&B's cloud.
        key = _given(api_key) if api_key else find_api_key(note.url, {}, note.key_file)
        return BaseUrl(note.url, "`launchd up`"), key
    address = BaseUrl(url.rstrip("/"), "--url") if url else find_base_url(environ)
    return address, _given(api_key) if api_key else _key(address.url, bool(named), state_dir, environ)


def _given(api_key: str) -> ApiKey:
    return ApiKey(api_key, "given")


def _key(address: str, named: bool, state_dir: Path | None, environ: Mapping[str, str]) -> ApiKey:
    note: InstanceInfo | None = LocalInstance(state_dir or default_directory(environ)).info()
    key_file = note.key_file if note and note.url == address else None
    try:
        return find_api_key(address, environ, key_file)
    except ApiKeyNotFound as error:
        if named:
            raise
        raise ApiKeyNotFound(
            f"No queue server is known here: `launchd up` does not run, WANDB_BASE_URL is not set. {error}"
        ) from None
