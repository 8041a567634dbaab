"""The worker: one process per running job.

It imports ``ipc`` and, of ``launchd``, the client alone; an SDK only when the
chosen source, builder or runner needs it.
"""
