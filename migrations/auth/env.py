"""Alembic's entry point for the auth service's history. Imports no application models."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
