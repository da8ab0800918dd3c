"""One delivery of a source: its result, the orders that have to be looked up, its replay."""
