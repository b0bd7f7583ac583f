"""The commands of `nexus`, one file per word; each is imported only when it is called."""
