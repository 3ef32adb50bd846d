"""What diffusion models share beside networks: noising processes, parameterisations, samplers and guidance."""
