"""`trunkline.toml` and the environment become settings."""
