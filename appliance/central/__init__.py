"""The central office: what it takes from the depots, keeps, and says back. Rules and tables; no HTTP and no Celery.

The one part of the project that speaks to its database through SQLAlchemy (Core), for that is SQLite or PostgreSQL.
"""
