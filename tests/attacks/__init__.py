"""Attacks that succeeded once; each is refused now, and fails the tests when it succeeds again."""
