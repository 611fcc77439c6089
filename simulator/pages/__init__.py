"""Pages that show a person's messages as the platforms would show them."""
