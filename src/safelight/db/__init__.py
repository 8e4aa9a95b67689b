"""The database. Outside the stores, only a transaction and its failure have a name: these two."""

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError as DatabaseError

__all__ = ["Connection", "DatabaseError"]
