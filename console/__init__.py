"""Herald for people: the terminal commands (web pages stand beside them when they come)."""
