"""The store of the queue server: tables, migrations and every SQL statement. Knows no HTTP and no GraphQL."""
