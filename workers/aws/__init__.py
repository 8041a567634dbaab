"""AWS as this host may use it, for the environment, the registry and the runner alike: sessions, requests, errors.

Nothing outside of this package imports the SDK.
"""
