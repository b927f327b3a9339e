"""What the services say to each other: plain facts, and nothing of how they are kept or carried."""
