"""The live wall of a station's guns: what a card shows, the page, and the socket that renews it."""
