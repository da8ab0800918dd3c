"""What gives the engine its processes and threads: dramatiq's broker and actors, the supervisor."""
