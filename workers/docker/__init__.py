"""What concerns a container engine: its client, and what a job's arguments ask of it under the host's policy.

Shared by the runner of containers and by what builds images. The engine's SDK comes with the extra ``docker`` and is
imported by ``engine`` alone.
"""
