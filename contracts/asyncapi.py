"""The AsyncAPI document of the whole shop. `python -m contracts.asyncapi` writes `docs/asyncapi.yaml`."""

from __future__ import annotations

from pathlib import Path

import yaml

from contracts.topology import SHOP
from holdfast import __version__
from holdfast.delivery.asyncapi import document

DOCUMENT = Path("docs/asyncapi.yaml")

if __name__ == "__main__":
    written = yaml.safe_dump(document(SHOP, __version__), sort_keys=False, width=120, allow_unicode=True)
    DOCUMENT.write_text(written)
