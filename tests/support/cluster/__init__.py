"""The tests' own Kubernetes, in its parts; see `tests.support.fake_kubernetes`."""
