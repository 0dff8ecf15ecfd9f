"""Clients of Remote Control that are compared, and a server to compare with."""
