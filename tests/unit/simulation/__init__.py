"""Delivery under attack, without sockets: the real publisher, recorder and log between a simulated network, disk and clock."""
