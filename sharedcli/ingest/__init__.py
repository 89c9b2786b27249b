"""Files become ``Document`` objects: text with page spans. No torch, no disk but the files read."""
