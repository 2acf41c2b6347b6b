"""Measures the whole way through a served page: glass to glass, beside a bare aiortc echo."""
