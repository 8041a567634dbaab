"""`launchd doctor`: checks of a host, its agent and its queue server, each with what it means and how it is mended.

`checks.py` has the list of them; their topics are the modules beside it. `examination.py` runs them, each in a process
of its own that is ended at its deadline (`deadlines.py`): nothing that hangs can hang the doctor. A check looks and
changes nothing.
"""
