"""The same database and connection as the tests of the road have."""

from __future__ import annotations

from road.conftest import bench, shared_database

__all__ = ["bench", "shared_database"]
