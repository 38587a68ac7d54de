"""Floor 5: how much of the open time of resources is booked."""
