"""What every long-running process of launchd needs from its host: logging, systemd, limits."""
