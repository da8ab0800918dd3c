"""Parts of the clients of all APIs: a transport with a deadline, a bounded exchange, URL checks, Retry-After."""
