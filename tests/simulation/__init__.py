"""A seeded simulation of the store: pods over one bucket that fails in every way STORE.md names (make simulate)."""
