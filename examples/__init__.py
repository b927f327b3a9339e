"""Services that are built on the shop from its guides, and the parts alone."""
