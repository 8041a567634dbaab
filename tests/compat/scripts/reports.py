"""A report and a workspace, by W&B's own package for them; answers what came back."""

import json
import sys
from pathlib import Path
from typing import Any

import wandb
import wandb_workspaces.reports.v2 as reports
import wandb_workspaces.workspaces as workspaces

project = json.loads(sys.argv[1])["project"]
place = {"entity": "me", "project": project}
with wandb.init(**place) as run:
    run.log({"loss": 1.0})
answer: dict[str, Any] = {}


def titles() -> list[str]:
    # One `Api` keeps what it has read.
    return [report.display_name for report in wandb.Api().reports(f"me/{project}")]


plot = reports.LinePlot(x="Step", y=["loss"])
grid = reports.PanelGrid(panels=[plot], runsets=[reports.Runset(**place)])
report = reports.Report(
    **place, title="First", description="about loss", blocks=[reports.H1("Loss"), reports.P("falls"), grid]
)
report.save(draft=True)
report.title = "Renamed"
report.save()
back = reports.Report.from_url(report.url)
answer["back"] = [back.title, back.description, [type(block).__name__ for block in back.blocks]]
answer["listed"] = titles()
try:
    answer["shared"] = report.enable_share_link()
except Exception as error:  # noqa: BLE001 - the error is the answer
    answer["shared"] = str(error)

workspace = workspaces.Workspace(**place, name="First", sections=[workspaces.Section(name="Section", panels=[plot])])
workspace.save()
workspace.name = "Second"
workspace.save()
again = workspaces.Workspace.from_url(workspace.url)
answer["workspace"] = [again.name, [section.name for section in again.sections]]
again.save_as_new_view()
answer["is_another"] = again.url != workspace.url

answer["deleted"] = report.delete()
answer["left"] = titles()
Path(sys.argv[2]).write_text(json.dumps(answer))
