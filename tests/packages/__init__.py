"""The packages: what they hold, and what they do to a host with systemd, from the installation to the purge."""
