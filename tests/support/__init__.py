"""What several test modules share: worlds to test in, and clients that speak to them."""
