"""An artifact is logged in two versions, logged again unchanged, then used and downloaded by another run."""

import json
import sys
from pathlib import Path

import wandb

arguments = json.loads(sys.argv[1])
project, name = arguments["project"], arguments["name"]

data = Path("data")
(data / "deep").mkdir(parents=True, exist_ok=True)
(data / "a.bin").write_bytes(bytes(range(256)) * 40)
(data / "deep" / "b c.txt").write_text("grüße\n")
(data / "empty").write_bytes(b"")
elsewhere = Path("elsewhere.csv").resolve()
elsewhere.write_text("a,b\n")


def logged(run: "wandb.Run", *aliases: str, collection: str = name) -> "wandb.Artifact":
    artifact = wandb.Artifact(collection, type="dataset", description="what it is", metadata={"rows": 7})
    artifact.add_dir(str(data))
    artifact.add_reference(elsewhere.as_uri(), name="elsewhere.csv")
    return run.log_artifact(artifact, aliases=list(aliases)).wait()


with wandb.init(project=project) as producer:
    first = logged(producer, "latest", "first")
    again = logged(producer)
    (data / "a.bin").write_bytes(b"changed")
    second = logged(producer, "latest", "second")
    logged(producer, "latest", collection=f"{name}-changing")


def logged_elsewhere(number: int) -> list[str]:
    """Log what another project has already: a file, and nothing but a reference."""
    file, reference = (wandb.Artifact(kind, type="dataset", metadata={"k": 1}) for kind in ("file", "reference"))
    file.add_file(str(data / "deep" / "b c.txt"))
    reference.add_reference(elsewhere.as_uri())
    with wandb.init(project=f"{project}-{number}") as run:
        return [str(run.log_artifact(each).wait().version) for each in (file, reference)]


twins = [logged_elsewhere(number) for number in (1, 2)]

with wandb.init(project=project) as consumer:
    used = consumer.use_artifact(f"{name}:first")
    # The client's threads share the note of where a file without the cache goes, so one may land in another's place. It
    # finds that the next time, by the digests.
    for _ in range(3):
        place = Path(used.download(root="downloaded", skip_cache=True))
        if (place / "elsewhere.csv").exists():
            break
    found = {str(path.relative_to(place)): path.read_bytes().hex() for path in place.rglob("*") if path.is_file()}

answer = {
    "producer": producer.id,
    "consumer": consumer.id,
    "versions": [first.version, again.version, second.version],
    "used": used.version,
    "twins": twins,
    "downloaded": found,
}
Path(sys.argv[2]).write_text(json.dumps(answer))
