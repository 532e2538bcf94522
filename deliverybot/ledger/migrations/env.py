"""Alembic runs its migrations on the connection that it is handed."""

from alembic import context

from deliverybot.ledger import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    transactional_ddl=False,
)
context.run_migrations()
