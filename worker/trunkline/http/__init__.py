"""What the clients of all APIs share: a transport with a deadline, checks of URLs, Retry-After."""
