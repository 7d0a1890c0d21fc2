"""Registry, supervision, status and commands of gateways and devices."""
