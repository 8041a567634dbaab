"""Names that several tests of W&B's clients look for on the server."""

#: Projects.
RUNS, ARTIFACTS = "curves", "data"
#: The artifact that the script `artifacts` logs.
ARTIFACT = "rows"
