"""Makes a staged environment the same wherever it was built, and writes its list of parts (SBOM, CycloneDX).

Usage: tidy.py TREE
"""

import base64
import csv
import email.parser
import hashlib
import json
import sys
from email.message import Message
from pathlib import Path

#: Files of an installation that say where it was made, or are for installers alone.
OF_THE_BUILDER = frozenset({"direct_url.json", "REQUESTED"})

#: What nothing here uses: tests of libraries, and pages for browsers that load programs from elsewhere.
NOT_NEEDED = ("ariadne/explorer/templates", "certifi/tests", "psutil/tests")


def main(tree: Path) -> None:
    (packages,) = tree.glob("lib/python3.*/site-packages")
    for name in NOT_NEEDED:
        remove_tree(packages / name)
    for info in sorted(packages.glob("*.dist-info")):
        for name in OF_THE_BUILDER:
            (info / name).unlink(missing_ok=True)
        rewrite_record(packages, info / "RECORD")
    (tree / "sbom.cdx.json").write_text(json.dumps(parts_list(packages), indent=1) + "\n")


def remove_tree(directory: Path) -> None:
    if directory.is_dir():
        for path in sorted(directory.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        directory.rmdir()


def rewrite_record(packages: Path, record: Path) -> None:
    """Keep the rows of files that are there, with the hashes that they have."""
    with record.open(newline="") as file:
        names = sorted(row[0] for row in csv.reader(file))
    with record.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            (name, *described(packages / name, record)) for name in names if (packages / name).is_file()
        )


def described(path: Path, record: Path) -> tuple[str, str]:
    if path == record:
        return "", ""
    content = path.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={digest}", str(len(content))


def parts_list(packages: Path) -> dict[str, object]:
    texts = [path.read_text(encoding="utf-8") for path in packages.glob("*.dist-info/METADATA")]
    parts = sorted((component(email.parser.Parser().parsestr(text)) for text in texts), key=lambda part: part["purl"])
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": parts}


def component(metadata: Message) -> dict[str, str]:
    name, version = metadata["Name"], metadata["Version"]
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    return {"type": "library", "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
