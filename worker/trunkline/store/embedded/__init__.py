"""A Valkey server that trunkline starts itself, shared by the processes of one folder."""
