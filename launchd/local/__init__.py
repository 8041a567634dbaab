"""The `launchd up` of this machine, and which queue server is meant where nothing says so."""
