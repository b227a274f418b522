"""All-atom systems: recipes that need no input file, and the user's own."""
