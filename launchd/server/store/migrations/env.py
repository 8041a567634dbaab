"""Alembic's entry point: runs the migrations on the connection that `store.migrate` passes."""

from alembic import context

from launchd.server.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
