"""What `nexus`, `nexus-gateway` and `nexus-worker` have in common on a terminal. It imports click, and nothing of
Nexus."""
