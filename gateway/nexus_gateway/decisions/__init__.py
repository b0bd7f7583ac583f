"""What was decided for each request, by what was known then; and the same decision made again."""
