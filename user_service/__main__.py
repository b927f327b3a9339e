"""`python -m user_service`: run the user service until SIGTERM."""

from holdfast.delivery.service import main
from user_service.handlers import domain
from user_service.settings import Settings

if __name__ == "__main__":
    main(domain, Settings)
