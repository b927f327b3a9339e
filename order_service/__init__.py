"""Catalog, stock and orders."""
