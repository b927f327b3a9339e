"""The system on one machine without Docker: a private broker and database cluster, and the three services."""
