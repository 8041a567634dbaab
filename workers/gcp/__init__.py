"""Google Cloud as this host may use it, for the registry and the runner alike: sessions, and what is asked of them.

Its credentials are found by ``workers.environments.gcp``.
"""
