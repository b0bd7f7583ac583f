"""One answer for all requests that bear the same Idempotency-Key: kept, given again, or shared while it is made."""
