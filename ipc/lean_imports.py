"""Keeps out of this package's own processes what a library loads and they have no use for; importing it does so.

Imported before everything else by what is the first module of such a process, and never by what a program imports.
"""

import sys
import warnings

#: By these, requests guesses how a text is encoded: three megabytes for each agent. Without them it takes UTF-8, and
#: what agents and engines say is JSON.
_LEFT_OUT = ("charset_normalizer", "chardet")

for _name in _LEFT_OUT:
    # A module of None is one that is not installed.
    sys.modules.setdefault(_name, None)  # type: ignore[arg-type]
warnings.filterwarnings("ignore", message="Unable to find acceptable character detection dependency")
