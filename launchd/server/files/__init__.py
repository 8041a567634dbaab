"""Files of artifacts and runs: their contents on disk, and the links they travel by. Knows no GraphQL."""
