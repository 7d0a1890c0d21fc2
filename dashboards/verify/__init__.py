"""Running every query of the dashboards against real engines, expanded as Grafana expands it."""
