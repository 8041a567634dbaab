"""The borders between the agent's user, the user that a job's source is fetched as, and the job's own.

    fetch/               of the fetch user: what is fetched, and with what; no process of the job can read it
    work/                of the job's user: its working directory
    home/  temporary/    of the job's user, where that has no password entry

Each directory is made empty and given away while it is empty; from then on no process of another user works in it by
path. What was fetched crosses the border as a stream.
"""
