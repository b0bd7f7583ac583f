"""What every Kubernetes object must be before it may be committed: rules of ours, and traps of upstream."""
