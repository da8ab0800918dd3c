"""Direction profiles: the fields of the attach page, checked. No I/O."""
