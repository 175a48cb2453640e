"""What a search hands over, and how it leaves: subnet files, configs and exported programs."""
