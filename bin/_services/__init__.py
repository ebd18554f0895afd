"""The private RabbitMQ node and PostgreSQL server of this clone: found, installed, started and stopped.

Standard library only: it runs before there is a virtual environment.
"""
