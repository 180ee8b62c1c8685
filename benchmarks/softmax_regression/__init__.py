"""Softmax regression against its peers: time at equal quality."""
