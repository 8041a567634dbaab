"""What all tables share. Times are seconds since 1970 (UTC); JSON is text."""

from sqlalchemy import BigInteger, Integer, MetaData

metadata = MetaData()

Count = Integer().with_variant(BigInteger(), "postgresql")
"""A number that may exceed 2**31: sizes in bytes, what counts up for ever. In SQLite every integer has 64 bits."""
