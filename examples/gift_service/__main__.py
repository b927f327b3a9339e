"""`python -m examples.gift_service`: run the gift service until SIGTERM."""

from examples.gift_service.handlers import domain
from examples.gift_service.settings import Settings
from holdfast.delivery.service import main

if __name__ == "__main__":
    main(domain, Settings)
