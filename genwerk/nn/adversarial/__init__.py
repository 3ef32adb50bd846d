"""What adversarial families share beside networks: objectives, penalties and augmentation, all without state."""
