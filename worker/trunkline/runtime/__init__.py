"""The engine's processes and threads: dramatiq's broker and actors, the supervisor."""
