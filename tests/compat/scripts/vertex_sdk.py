"""Sends what W&B's runner hands to Google's SDK through that SDK, to a fake: ``... URL PROJECT REGION TOKEN``.

Reads what ``vertex_requests.py`` prints, and prints a JSON list: why W&B's runner refused a spec, null for the others.
"""

import json
import sys
from typing import Any

from google.cloud import aiplatform
from google.oauth2.credentials import Credentials


def send(record: dict[str, Any], place: dict[str, Any]) -> str | None:
    """Create one job; returns why there is none to create, or None."""
    if "error" in record:
        return str(record["error"])
    aiplatform.init(staging_bucket=record["staging_bucket"], **place)
    aiplatform.CustomJob(**record["job"]).submit(**record["submit"])
    return None


def main() -> None:
    url, project, region, token = sys.argv[1:]
    place = {
        "project": project,
        "location": region,
        "credentials": Credentials(token),  # type: ignore[no-untyped-call]
        "api_endpoint": url,
        "api_transport": "rest",
    }
    errors = [send(record, place) for record in json.load(sys.stdin)]
    sys.stdout.write("\n" + json.dumps(errors) + "\n")


if __name__ == "__main__":
    main()
