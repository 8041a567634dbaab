"""Statements on users, teams, keys and projects, and who may use and manage them."""
