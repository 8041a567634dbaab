"""The client of a queue server, W&B's or launchd's: GraphQL over HTTP, and the files of artifacts.

Used by the supervisor, the command line and the workers. It must import neither `ipc` nor `workers` nor the server, and
it starts no threads. Import from the modules: `queue_server`, `errors`, `artifacts`, `jobs`, `credentials`.
"""
