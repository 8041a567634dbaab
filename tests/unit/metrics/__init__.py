"""Figures for Prometheus: counting, writing down, serving."""
