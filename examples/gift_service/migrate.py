"""`python -m examples.gift_service.migrate`: bring its database to the version that this code expects."""

from pathlib import Path

from examples.gift_service.settings import Migration
from holdfast.delivery.migrations import main

if __name__ == "__main__":
    main(Path(__file__).parent, Migration)
