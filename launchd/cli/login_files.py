"""Writes a key and an address for `launchd login`, where W&B's clients of every version and launchd find them.

`launchd.client.credentials` has the paths, and reads the files. W&B 0.20 looks in netrc for the host alone and 0.31 for
the host with its port, so both are written. Files are replaced as a whole, with mode 0600.
"""

import configparser
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from launchd.client.credentials import global_settings_file, netrc_files
from launchd.client.errors import Refused

#: Entries of netrc begin with one of these keywords.
_ENTRY_STARTS = re.compile(r"^(?=[ \t]*(?:machine|default|macdef)\b)", re.MULTILINE)
#: What others have written into netrc stays as it is, also where it is no UTF-8.
_KEEP_BYTES = "surrogateescape"

_MACHINE_ENTRY = re.compile(r"[ \t]*machine\s+(\S+)")


def write_key(base_url: str, key: str, environ: Mapping[str, str]) -> Path:
    """Write the key to netrc, in place of others for this host; returns the path.

    Raises:
        OSError: the file cannot be read or written.
    """
    path = _netrc_file(environ)
    parts = urlsplit(base_url)
    machines = list(dict.fromkeys([parts.netloc.rpartition("@")[2], parts.hostname or ""]))
    before = path.read_text(encoding="utf-8", errors=_KEEP_BYTES) if path.exists() else ""
    new = "".join(f"machine {machine}\n  login user\n  password {key}\n" for machine in machines)
    # In front: entries after `default` are not read.
    _replace(path, new + _without(before, machines))
    return path


def write_base_url(base_url: str, environ: Mapping[str, str]) -> Path:
    """Write the server's address to W&B's settings file; returns the path.

    Raises:
        OSError: the file cannot be read or written. Refused: it is no settings file.
    """
    path = global_settings_file(environ)
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    if path.exists():
        try:
            parser.read_string(path.read_text(encoding="utf-8"), str(path))
        except (configparser.Error, UnicodeDecodeError) as error:
            raise Refused(f"{path} is no settings file of W&B's clients: correct it, or move it away.") from error
    if not parser.has_section("default"):
        parser.add_section("default")
    parser.set("default", "base_url", base_url)
    text = io.StringIO()
    parser.write(text)
    _replace(path, text.getvalue())
    return path


def _without(text: str, machines: list[str]) -> str:
    """Return the text of a netrc without the entries of these machines; comments inside them are kept."""
    return "".join(_comments(entry) if _machine_of(entry) in machines else entry for entry in _ENTRY_STARTS.split(text))


def _machine_of(entry: str) -> str | None:
    found = _MACHINE_ENTRY.match(entry)
    return found[1] if found else None


def _comments(entry: str) -> str:
    return "".join(line for line in entry.splitlines(keepends=True) if line.lstrip().startswith("#"))


def _netrc_file(environ: Mapping[str, str]) -> Path:
    candidates = list(netrc_files(environ))
    return next((path for path in candidates if path.exists()), candidates[0])


def _replace(path: Path, text: str) -> None:
    """Write a file atomically, with mode 0600; a link is followed, not replaced."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors=_KEEP_BYTES) as file:
            file.write(text)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
