"""Makes an archive of a container image, as `docker save` does: image.py NAME:TAG DIRECTORY ARCHIVE [KEY=JSON]...

No engine is needed. KEY=JSON are fields of the image's configuration, such as Entrypoint=["/pause"].
"""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def main(name: str, directory: str, archive: str, *fields: str) -> None:
    layer = _layer(Path(directory))
    digest = hashlib.sha256(layer).hexdigest()
    settings = {key: json.loads(text) for key, _, text in (one.partition("=") for one in fields)}
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], **settings},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    encoded = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(archive, "w") as tar:
        for path, data in (
            (config_name, encoded),
            (f"{digest}/layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def _layer(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(directory, arcname=".", filter=_of_root)
    return buffer.getvalue()


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


if __name__ == "__main__":
    main(*sys.argv[1:])
