"""The servers of the contract tests, on both stores."""

from tests.contract.server.conftest import accounts, api, postgresql_server, server, store

__all__ = ["accounts", "api", "postgresql_server", "server", "store"]
