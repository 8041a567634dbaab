"""A job that ignores SIGTERM, as do its children, one of which is in a session of its own."""

import os
import signal
import subprocess
import sys
import time

CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"

signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", CHILD])
stray = subprocess.Popen([sys.executable, "-c", CHILD], start_new_session=True)
print(f"processes {os.getpid()} {child.pid} {stray.pid} ignore SIGTERM", flush=True)
time.sleep(600)
