"""What each model, release and tenant has cost: machines that were held, and whose tokens they made."""
