"""The number event, from a sender's raw text to numbers with their profiles. No I/O."""
