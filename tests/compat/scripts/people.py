"""Users, teams, service accounts, keys and projects through ``wandb.Api()``."""

import json
import sys
from pathlib import Path

import wandb
from wandb.apis.public import Team

arguments = json.loads(sys.argv[1])
api = wandb.Api()
user = api.create_user(f"{arguments['user']}@example.org")
team = Team.create(api, arguments["team"])
invited = team.invite(arguments["user"])
team.create_service_account(arguments["robot"])
team.load(force=True)
members = {member.username: member for member in team.members}
answer = {
    "viewer": [api.viewer.username, api.viewer.entity, api.viewer.teams],
    "found": [found.username for found in api.users(arguments["user"])],
    "invited": invited,
    "members": sorted(members),
    "left": members[arguments["user"]].delete(),
    "projects": [project.name for project in api.projects(arguments["team"])],
}
Path(sys.argv[2]).write_text(json.dumps(answer))
