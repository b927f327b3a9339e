"""Messages as they were once sent, one a line. They must stay readable for ever: a line is added, never changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from contracts.services import PARTICIPANTS

FOLDER = Path(__file__).parent
FILES = [FOLDER / "golden.jsonl", *(each.folder / "tests/golden.jsonl" for each in PARTICIPANTS if each.words)]
"""Those of the shop, and those of services that have words of their own."""

LINES = tuple(line for file in FILES for line in file.read_text().splitlines())
BATCH_BODY = (FOLDER / "golden_batch.json").read_bytes()

GOLDEN: Mapping[str, str] = {json.loads(line)["type"]: line for line in reversed(LINES)}
"""The first golden message of each type."""
