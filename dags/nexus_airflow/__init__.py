"""What the DAGs of dags/ are made of. It is installed, since Airflow's triggerer reads no folder of DAGs."""
