from tests.support.database import database_url, shared_database_url

__all__ = ["database_url", "shared_database_url"]
