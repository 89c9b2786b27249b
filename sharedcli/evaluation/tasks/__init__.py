"""What is measured: each task yields items, runs one of them, and says what its scores mean."""
