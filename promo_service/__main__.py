"""`python -m promo_service`: run the promo service until SIGTERM."""

from holdfast.delivery.service import main
from promo_service.handlers import domain
from promo_service.settings import Settings

if __name__ == "__main__":
    main(domain, Settings)
