"""trunkline attaches phone numbers to Bland AI's SIP and knows what became of each of them."""

__version__ = "0.1.0"
