"""Floor 1: time, load and rules. Pure: no await, no I/O, no clock, the standard library only."""
