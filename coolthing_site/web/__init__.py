"""What every request meets: middleware, error pages, login limits, metrics."""
