"""`python -m order_service.migrate`: bring the order service's database to the version that this code expects."""

from pathlib import Path

from holdfast.delivery.migrations import main
from order_service.settings import Migration

if __name__ == "__main__":
    main(Path(__file__).parent, Migration)
