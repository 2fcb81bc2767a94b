"""What speaks to providers: a client for each, on one door to HTTP, one rate budget and one family of errors."""
