"""The provider: the client of its API, and in `attach` all that is decided of requests and answers without I/O."""
