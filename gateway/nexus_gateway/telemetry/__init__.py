"""What the gateway says of itself: metrics rendered at scrape, log lines written off the request's path."""
