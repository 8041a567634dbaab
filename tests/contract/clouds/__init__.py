"""Clouds as this host uses them, at servers on loopback."""
