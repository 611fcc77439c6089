"""The product: accepting requests, delivering them, and telling the truth about each delivery."""
