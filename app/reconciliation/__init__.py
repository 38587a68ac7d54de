"""Floor 4: finding what is booked twice."""
