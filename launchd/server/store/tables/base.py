"""What all tables share. Times are seconds since 1970 (UTC); JSON is text."""

from sqlalchemy import MetaData

metadata = MetaData()
