"""Carriers' APIs: the numbers that an account owns, page by page, and the numbers of an order."""

from trunkline_producers.carriers.config import ApiTable
from trunkline_producers.carriers.errors import CarrierError, CarrierRefused, CarrierUnavailable, CarrierUnreadable
from trunkline_producers.carriers.inventory import Inventory, Owned, Page
from trunkline_producers.carriers.registry import read_api

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
