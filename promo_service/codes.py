"""How a promo code is kept: as a keyed hash, from which nobody finds the code again without the key."""

from __future__ import annotations

import hmac


def code_hash(key: bytes, code: str) -> str:
    """HMAC-SHA-256 of the code in capitals and without dashes, in hexadecimal digits.

    The key matters for codes that people choose: without one, a copy of the database could be tried against a list.
    """
    return hmac.digest(key, code.replace("-", "").upper().encode(), "sha256").hex()
