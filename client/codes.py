"""Promo codes that nobody guesses."""

from __future__ import annotations

import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U. Source: crockford.com/base32.html."""
GROUPS, GROUP = 4, 4


def generate() -> str:
    """A new code of 80 random bits, such as 7Q4M-K2ZD-0VXB-9HRT. It is kept nowhere: note it before it is put."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))
