"""Submitting items to queues and ending their leases: run specs, template variables, submitters."""
