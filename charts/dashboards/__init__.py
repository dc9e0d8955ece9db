"""Grafana dashboards, made by code: `python -m charts.dashboards --write`, or `--check` in CI.

charts/mailpod/dashboards/ is this package's output and nothing else.
"""
