"""Reports and workspaces: what W&B's programs save is given back whole, and no page shows it."""

import json
from typing import Any

import pytest

from tests.support.server import Api, RefusedByServer, fresh_name

UPSERT = """mutation upsertView($id: ID, $entityName: String, $projectName: String, $type: String, $name: String,
    $displayName: String, $description: String, $spec: String!) {
    upsertView(input: {id: $id, entityName: $entityName, projectName: $projectName, name: $name,
        displayName: $displayName, description: $description, type: $type, createdUsing: WANDB_SDK, spec: $spec}) {
        view { id type name displayName description project { id name entityName } spec updatedAt } inserted } }"""
VIEWS = """query ProjectViews($project: String!, $entity: String!, $reportCursor: String, $reportLimit: Int!,
    $viewType: String = "runs", $viewName: String) { project(name: $project, entityName: $entity) {
    allViews(viewType: $viewType, viewName: $viewName, first: $reportLimit, after: $reportCursor) {
        edges { node { id name displayName description user { username photoUrl } spec updatedAt } cursor }
        pageInfo { endCursor hasNextPage } } } }"""


def save(api: Api, project: str, **values: object) -> dict[str, Any]:
    names = {"entityName": "me", "projectName": project}
    saved: dict[str, Any] = api.run(UPSERT, names | values)["upsertView"]
    return saved


def views(api: Api, project: str, **values: object) -> dict[str, Any]:
    found = api.run(VIEWS, {"project": project, "entity": "me", "reportLimit": 2} | values)
    return dict(found["project"]["allViews"])


def test_a_report_is_given_back_whole(api: Api) -> None:
    project, spec = fresh_name("reported"), json.dumps({"blocks": [{"type": "heading", "text": "größer"}]})
    made = save(api, project, displayName="Loss", spec=spec, name=None, description="d", type="runs")
    assert (made["inserted"], made["view"]["spec"]) == (True, spec)
    changed = save(api, project, id=made["view"]["id"], displayName="Losses", spec="{}")
    assert (changed["inserted"], changed["view"]["description"]) == (False, "d")
    view = api.run("query($id: ID!) { view(id: $id) { displayName spec } }", {"id": made["view"]["id"]})["view"]
    assert view == {"displayName": "Losses", "spec": "{}"}


def test_views_are_listed_by_type_and_name_page_by_page(api: Api) -> None:
    project = fresh_name("reported")
    for number in range(3):
        save(api, project, displayName=f"r{number}", spec="{}", type="runs")
    save(api, project, name="nw-abc-v", spec="{}", type="project-view")
    page = views(api, project)
    assert [edge["node"]["displayName"] for edge in page["edges"]] == ["r2", "r1"]
    assert page["edges"][0]["node"]["user"]["username"] == "me"
    assert page["pageInfo"]["hasNextPage"]
    rest = views(api, project, reportCursor=page["pageInfo"]["endCursor"])
    assert [edge["node"]["displayName"] for edge in rest["edges"]] == ["r0"]
    named = views(api, project, viewType="project-view", viewName="nw-abc-v")
    assert [edge["node"]["name"] for edge in named["edges"]] == ["nw-abc-v"]


def test_a_view_is_deleted_and_may_be_deleted_again(api: Api) -> None:
    view_id = save(api, fresh_name("reported"), spec="{}")["view"]["id"]
    for _ in range(2):
        assert api.mutate("deleteView", "success", id=view_id)["success"]
    with pytest.raises(RefusedByServer, match="There is no view with the id"):
        save(api, "p", id=view_id, spec="{}")
