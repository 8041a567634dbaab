"""Worker processes: which works on which job, and the fork server that starts them."""
