"""Carriers' APIs: what an account owns, read page by page, and the numbers that a thin webhook only points at."""

from trunkline_producers.carriers.config import ApiTable, read_api
from trunkline_producers.carriers.errors import CarrierError, CarrierRefused, CarrierUnavailable, CarrierUnreadable
from trunkline_producers.carriers.inventory import Inventory, Owned, Page

__all__ = [
    "ApiTable",
    "CarrierError",
    "CarrierRefused",
    "CarrierUnavailable",
    "CarrierUnreadable",
    "Inventory",
    "Owned",
    "Page",
    "read_api",
]
