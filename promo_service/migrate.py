"""`python -m promo_service.migrate`: bring the promo service's database to the version that this code expects."""

from pathlib import Path

from holdfast.delivery.migrations import main
from promo_service.settings import Migration

if __name__ == "__main__":
    main(Path(__file__).parent, Migration)
