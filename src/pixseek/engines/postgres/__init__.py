"""The engine on PostgreSQL with pgvector."""

from pixseek.engines.postgres.engine import PostgresEngine, open_postgres

__all__ = ["PostgresEngine", "open_postgres"]
