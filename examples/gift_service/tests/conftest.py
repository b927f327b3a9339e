"""A site of its own for each module of tests, and what is heard there; the shop's own fixtures."""

from __future__ import annotations

from tests.service.conftest import probe, site, users

__all__ = ["probe", "site", "users"]
