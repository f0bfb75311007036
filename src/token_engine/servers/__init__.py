"""The real PostgreSQL and the real nats-server that the engine starts when no URL names others."""

from token_engine.servers.error import ServerError
from token_engine.servers.lock import DataDirectory
from token_engine.servers.nats import EmbeddedNats
from token_engine.servers.postgres import EmbeddedPostgres

__all__ = ["DataDirectory", "EmbeddedNats", "EmbeddedPostgres", "ServerError"]
