"""From an e-mail to an address; this room knows nothing of messages."""
