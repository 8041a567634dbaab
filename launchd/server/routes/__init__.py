"""HTTP routes beside GraphQL: the file stream of runs, and files by signed links or by their digest."""
