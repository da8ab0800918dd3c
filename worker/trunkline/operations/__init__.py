"""What an operator asks and does, as functions that return values."""
