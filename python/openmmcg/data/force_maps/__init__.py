"""Force maps: how forces on atoms become forces on beads."""
