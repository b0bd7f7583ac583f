"""What people see of Nexus in Grafana, as data: one file a subject, and one list of them all (`boards.py`)."""
