"""What every measurement shares: what a figure depends on, and what the hardware could do."""
