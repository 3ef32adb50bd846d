"""What diffusion models share besides networks: noise schedules, parameterisations, samplers and guidance."""
