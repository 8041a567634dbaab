"""The store of the queue server. Owns tables, migrations and every SQL statement; knows nothing of HTTP or GraphQL."""
