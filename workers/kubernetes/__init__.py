"""Kubernetes: its API, the manifests of jobs, what they may ask for, how they stand, and their output.

Owns everything that knows an object of Kubernetes; the runner in ``workers.runners.kubernetes`` puts it in order.
"""
