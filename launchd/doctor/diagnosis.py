"""The whole examination of a host: its configuration first, then everything else, each within its time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from launchd.doctor.checks import CONFIGURATION
from launchd.doctor.configuration import Loaded, find_host
from launchd.doctor.deadlines import within
from launchd.doctor.examination import Result, examine
from launchd.doctor.findings import Check, fail
from launchd.doctor.host import unconfigured

_loaded = msgspec.json.Decoder(Loaded)


def diagnose(
    checks: Sequence[Check],
    config_path: str | None,
    state_dir: Path | None,
    url: str | None,
    environ: Mapping[str, str],
) -> list[Result]:
    """Return what there is to say of this host, as of the agent of that configuration.

    ``config_path`` None stands for the configuration of the running `launchd up` over ``state_dir``, and then for the
    usual files; ``url`` None for the server that the configuration names.
    """
    data = within(
        [(lambda: msgspec.json.encode(find_host(config_path, state_dir, url, environ)), CONFIGURATION.seconds)]
    )[0]
    loaded = _decoded(data, environ)
    return [Result(CONFIGURATION.name, loaded.findings), *examine(checks, loaded.host)]


def _decoded(data: bytes | None, environ: Mapping[str, str]) -> Loaded:
    host = unconfigured(environ)
    if data is None:
        return Loaded(host, (fail("It could not be read in time.", *CONFIGURATION.silence),))
    try:
        return _loaded.decode(data)
    except msgspec.DecodeError:
        why = data.decode(errors="replace")
        return Loaded(host, (fail(f"It could not be read: {why}.", "Nothing is known of it.", "Report this error."),))
