"""Puts number events into the store, for programs."""
