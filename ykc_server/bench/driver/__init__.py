"""What a driver waits for: the stations around a place, and the next picture of a charge."""
