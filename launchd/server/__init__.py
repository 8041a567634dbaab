"""The queue server: a W&B-compatible GraphQL API over a store of its own. Imported by the command line only."""
