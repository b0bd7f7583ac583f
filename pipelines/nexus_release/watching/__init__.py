"""What Prometheus records and rings for, as data: one file a subject, and one list of them all (`groups.py`)."""
