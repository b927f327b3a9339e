"""Makes a broker and a database cluster ready for the services; the same natively and in compose."""
