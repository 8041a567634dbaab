"""Services of the host for long-running processes of launchd: logging, systemd, resource limits."""
