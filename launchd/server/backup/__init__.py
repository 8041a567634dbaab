"""Backups of a queue server's data, made while it runs, and what restores them. No part of a running server."""
