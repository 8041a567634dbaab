"""The queue server: a W&B-compatible GraphQL API over a store of its own. Only commands import it."""
