"""The shim of a local process: a small process of its own that outlives worker and supervisor.

It starts one command at most once under one name, carries its output to
files, kills what is left of it, and puts its exit status on disk. It
talks to the worker that forked it alone, and only until the command runs.
"""
