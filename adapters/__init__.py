"""The two platforms behind one small protocol; this room knows nothing of requests and deliveries."""
