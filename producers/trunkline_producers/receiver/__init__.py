"""The receiver: the web server that takes webhooks and events in, and answers once they are stored."""

from trunkline_producers.receiver.app import Receiver
from trunkline_producers.receiver.server import make_server, serve

__all__ = ["Receiver", "make_server", "serve"]
