"""Fault campaigns: jobs run while processes, link, disk, clocks and databases fail; broken promises are counted."""
