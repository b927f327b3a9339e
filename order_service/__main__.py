"""`python -m order_service`: run the order service until SIGTERM."""

from holdfast.delivery.service import main
from order_service.handlers import domain
from order_service.settings import Settings

if __name__ == "__main__":
    main(domain, Settings)
