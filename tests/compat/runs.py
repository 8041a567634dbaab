"""What launchd's server knows of a run that W&B's client has logged."""

from typing import Any

from tests.support.server import Api

_RUN = """query($p: String!, $r: String!) { project(name: $p) { run(name: $r) {
    id state displayName group jobType notes tags config summaryMetrics historyLineCount stopped
    history(samples: 100) user { username }
    logLines(last: 100) { edges { node { line } } }
    files(first: 100) { edges { node { name directUrl } } }
} } }"""


def run_of(api: Api, project: str, name: str) -> dict[str, Any]:
    run: dict[str, Any] | None = api.run(_RUN, {"p": project, "r": name})["project"]["run"]
    assert run is not None
    return run
