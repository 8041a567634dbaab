"""Shared by all tables: metadata and types. Times are seconds since 1970 (UTC); JSON is text."""

from sqlalchemy import BigInteger, Integer, MetaData

metadata = MetaData()

Count = Integer().with_variant(BigInteger(), "postgresql")
"""A number that may exceed 2**31: sizes in bytes, ever increasing counters. SQLite's integers have 64 bits anyway."""
