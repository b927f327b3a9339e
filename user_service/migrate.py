"""`python -m user_service.migrate`: bring the user service's database to the version that this code expects."""

from pathlib import Path

from holdfast.delivery.migrations import main
from user_service.settings import Migration

if __name__ == "__main__":
    main(Path(__file__).parent, Migration)
