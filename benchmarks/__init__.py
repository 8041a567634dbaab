"""What launchd costs and how fast it is, each figure beside the limit of the same machine in the same run."""
