"""Floor 3: the processes of a deployment: heartbeats, the reaper of dead processes, and what all must agree on."""
