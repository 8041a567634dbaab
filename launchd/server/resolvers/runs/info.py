"""W&B's `runInfo`: machine and code of a run, from the metadata file that its client uploads."""

import msgspec
from ariadne import ObjectType

from launchd.server.context import Info
from launchd.server.models import Run
from launchd.server.store.runs import files as run_files

run = ObjectType("Run")
bindables = [run]

_FILE = "wandb-metadata.json"
_MOST_BYTES = 1024 * 1024


class _Git(msgspec.Struct, frozen=True):
    remote: str | None = None
    commit: str | None = None


class _Metadata(msgspec.Struct, frozen=True):
    """The fields of the file that are used, under its names."""

    program: str | None = None
    args: list[str] = []
    os: str | None = None
    python: str | None = None
    colab: str | None = None
    executable: str | None = None
    code_path: str | None = msgspec.field(default=None, name="codePath")
    cpu_count: int | None = None
    gpu_count: int | None = None
    gpu: str | None = None
    git: _Git | None = None

    @property
    def code_saved(self) -> bool:
        """Whether the program is among the run's files."""
        return self.code_path is not None


_decoder = msgspec.json.Decoder(_Metadata)


@run.field("runInfo")
async def resolve_run_info(found: Run, info: Info) -> _Metadata | None:
    """Null where the file is missing or malformed."""
    files = await info.context.read(run_files.page, found.id, 0, 1, [_FILE], None)
    if not files or files[0].content is None or (files[0].size or 0) > _MOST_BYTES:
        return None
    path = info.context.app.run_blobs.path(files[0].content)
    try:
        return _decoder.decode(path.read_bytes())
    except msgspec.DecodeError:
        return None
