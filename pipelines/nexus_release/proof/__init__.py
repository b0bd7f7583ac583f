"""What a release claims, link by link, held against the bytes that are there."""
