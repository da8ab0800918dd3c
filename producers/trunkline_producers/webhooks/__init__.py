"""A request becomes data, and data becomes number events. No I/O."""
