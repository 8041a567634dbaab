"""Figures for Prometheus, of agent and server alike: counted without its library, written down and served with it."""
