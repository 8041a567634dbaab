"""A job in a container that prints for a while, and leaves a line for each start of it in `/shared/runs`."""

#: A shell script; its argument is the pause between two lines, in seconds.
SCRIPT = 'echo "$LAUNCHD_JOB_NAME" >> /shared/runs; for i in $(seq 20); do echo line $i; sleep "$1"; done'

#: Its output.
LINES = "".join(f"line {number}\n" for number in range(1, 21))
