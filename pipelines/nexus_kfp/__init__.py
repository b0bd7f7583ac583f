"""What the pipeline of release_kfp.py is made of: the steps of `graph.py` as tasks of Kubeflow Pipelines."""
