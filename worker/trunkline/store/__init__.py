"""The store: what waits, what is under way and what became of every number, in Redis or Valkey."""

from trunkline.store.client import Store
from trunkline.store.connection import Durability, connect
from trunkline.store.model import StoreError, StoreNewer, StoreUnavailable, StoreUnfit

__all__ = ["Durability", "Store", "StoreError", "StoreNewer", "StoreUnavailable", "StoreUnfit", "connect"]
