"""Real Postgres and Valkey servers from wheels: the default of ``headway up`` and the servers of the tests.

They are children that end with their owner, listen on a unix socket in a directory that only its owner may enter, and
keep their data across restarts and crashes.
"""

from app.embedded.postgres import start_postgres
from app.embedded.server import EmbeddedServer
from app.embedded.valkey import start_valkey

__all__ = ["EmbeddedServer", "start_postgres", "start_valkey"]
