"""Grafana as code: the dashboards that come with Almenara. Knows nothing of hub and edge."""
