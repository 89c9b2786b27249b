"""What SharedLLM is compared with, on the same base: StreamingLLM's cache and CEPE's structure."""
