"""Files of artifacts: their contents on disk and the links they travel by. Knows no GraphQL."""
