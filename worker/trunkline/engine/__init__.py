"""A batch from its claim to its settlement."""
