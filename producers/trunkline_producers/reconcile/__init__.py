"""Inventories: what a carrier owns is compared with the books, and what is missing is enqueued."""
