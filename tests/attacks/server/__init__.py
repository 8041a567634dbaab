"""Attacks on the queue server, over both stores."""
