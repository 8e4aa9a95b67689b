"""The same service as most teams would build it: FastAPI, Celery, Redis and PostgreSQL."""
