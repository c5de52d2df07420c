"""Celery: the app, the schedule, the scheduler with its sweeper, and the tasks themselves."""
