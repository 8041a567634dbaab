"""Removes the items that ended long ago, where the administrator wants that, in pieces between which others write."""

import logging
import time
from functools import partial

from launchd.server.store.database import Database, Lane
from launchd.server.store.launch import old_items

logger = logging.getLogger(__name__)


async def remove_old_items(database: Database, keep_seconds: float) -> int:
    """Remove the items that ended more than `keep_seconds` ago; returns how many they were."""
    before, after, removed = time.time() - keep_seconds, 0, 0
    while numbers := await database.read(partial(old_items.created_before, moment=before, after=after), Lane.HEAVY):
        removed += await database.write(partial(old_items.remove_ended, numbers=numbers, moment=before))
        after = numbers[-1]
    if removed:
        logger.info("Items that ended long ago were removed.", extra={"items": removed})
    return removed
