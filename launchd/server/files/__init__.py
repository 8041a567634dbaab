"""Files of artifacts and runs: blobs on disk, quota, garbage collection, signed links. Knows no GraphQL."""
