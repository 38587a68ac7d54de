"""Floor 5: finding what is booked twice."""
