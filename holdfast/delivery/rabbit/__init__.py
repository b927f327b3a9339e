"""What RabbitMQ and its client library need of us."""
