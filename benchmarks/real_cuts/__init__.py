"""Real power cuts: a whole machine under emulation is ended while jobs run, and boots again from its disk."""
